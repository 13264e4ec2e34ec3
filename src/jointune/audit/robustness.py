"""The accuracy that a model loses where posts are misspelled, lose their emoji, or have poor or wrong images."""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource, Post, Posts
from jointune.data.problems import OnBadImage
from jointune.data.split import identity_groups
from jointune.evaluation.significance import Difference, Run, holm, paired_differences
from jointune.inference.predictor import Predictor
from jointune.modalities.image.open import open_image
from jointune.modalities.text.normalise import without_emoji

MOST = 200
"""Posts that are changed in each way."""
_LARGEST = 1024
"""Pixels of the longer side of an image that is changed: more than encoders take."""
_MISSPELLED = 0.2
"""Share of the words."""
_WORD = re.compile(r"(?<!\S)[^\W\d_]{4,}")
"""Words, but no links, handles or hashtags."""

Random = np.random.Generator


@dataclass(frozen=True)
class Loss:
    """The accuracy that a model loses by a change of posts.

    Attributes:
        change: what was done to them.
        posts: how many were changed.
        accuracy: without the change.
        lost: the accuracy without the change minus that with it.
        distinguishable: whether it is distinguishable from none, with all changes counted after Holm.
    """

    change: str
    posts: int
    accuracy: float
    lost: Difference
    distinguishable: bool


def losses(
    predictor: Predictor, posts: Posts, answers: np.ndarray, seed: int = 0, policy: OnBadImage = "error"
) -> list[Loss]:
    """Change some posts in each way, and compare the answers with those to the same posts as they are.

    Text that was read in an image stays as it is where the image is changed, and goes with the image where that is
    swapped.

    Args:
        predictor: the model.
        posts: that it was not trained on, labelled.
        answers: to them, float [N, C].
        seed: draws the posts and the changes.
        policy: what to do about an image that can no longer be read; ``skip`` does as ``missing``.
    """
    if not posts:
        return []
    target = predictor.target
    kept: OnBadImage = "error" if policy == "error" else "missing"
    truth, chosen, groups = target.encode(posts), target.choose(answers), np.array(identity_groups(posts))
    found = []
    for name, numbers, changed in _changes(posts, seed):
        rows = [scored.probabilities for scored in predictor.stream(changed, kept, name=posts.name)]
        before, after = (
            [Run(0, 0, numbers, truth[numbers], said, len(posts))]
            for said in (chosen[numbers], target.choose(np.stack(rows)))
        )
        lost = paired_differences(before, {name: after}, target.measure("accuracy"), len(target.labels), groups)
        accuracy = float((chosen[numbers] == truth[numbers]).mean())
        found.append((name, len(numbers), accuracy, lost[name]))
    adjusted = holm([lost.p_value for *_, lost in found])
    return [Loss(*one, one[-1].distinguishable and p < 0.05) for one, p in zip(found, adjusted, strict=True)]


def _changes(posts: Posts, seed: int) -> Iterator[tuple[str, np.ndarray, Iterable[Post]]]:
    """Yield each change that some posts allow, the numbers of these posts, ascending, and the changed posts."""
    order = np.random.default_rng(seed).permutation(len(posts)).tolist()
    for name, change in _OF_TEXT.items():
        changed: dict[int, Post] = {}
        for number in order:
            one = _with_text(posts[number], change, np.random.default_rng([seed, number]))
            if one is not None:
                changed[number] = one
            if len(changed) == MOST:
                break
        if changed:
            numbers = sorted(changed)
            yield name, np.array(numbers), [changed[number] for number in numbers]
    having = sorted([number for number in order if posts[number].images][:MOST])
    if having:
        for name, alter in _OF_IMAGE.items():
            yield (
                name,
                np.array(having),
                (
                    replace(posts[n], image=_altered(posts[n].images, alter, np.random.default_rng([seed, n])))
                    for n in having
                ),
            )
    if len(having) > 1:
        others = [posts[number] for number in [*having[1:], having[0]]]
        swapped = (
            replace(posts[number], image=other.image, image_text=other.image_text)
            for number, other in zip(having, others, strict=True)
        )
        yield "another post's image", np.array(having), swapped


def _with_text(post: Post, change: Callable[[str, Random], str], random: Random) -> Post | None:
    """Return the post with a changed text; None where nothing would change, or nothing be left."""
    texts = [None if text is None else change(text, random).strip() or None for text in (post.text, post.second_text)]
    changed = replace(post, text=texts[0], second_text=texts[1])
    return None if changed.whole_text == post.whole_text or changed.empty else changed


def misspell(text: str, random: Random) -> str:
    """Misspell one in five words of four letters or more: two letters change places, or one is lost or doubled."""

    def misspelled(word: re.Match[str]) -> str:
        letters = word[0]
        draw, kind, place = random.random(), random.integers(3), random.integers(1, len(letters) - 2)
        if draw >= _MISSPELLED:
            return letters
        first, here, after = letters[:place], letters[place], letters[place + 1 :]
        return first + (after[0] + here + after[1:], after, here + here + after)[kind]

    return _WORD.sub(misspelled, text)


def _altered(
    sources: Sequence[ImageSource], alter: Callable[[Image.Image, Random], Image.Image], random: Random
) -> list[ImageSource]:
    altered = list(sources)
    for number, source in enumerate(sources):
        with suppress(ImageError):  # told when the post is scored
            image = open_image(source, at_least=(_LARGEST, _LARGEST))
            image.thumbnail((_LARGEST, _LARGEST))
            altered[number] = alter(image, random)
    return altered


def _compressed(image: Image.Image, _: Random) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    return Image.open(file)


def _blurred(image: Image.Image, _: Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 100))


def _cropped(image: Image.Image, random: Random) -> Image.Image:
    width, height = (max(round(0.8 * side), 1) for side in image.size)
    left, top = (int(random.integers(0, rest + 1)) for rest in (image.width - width, image.height - height))
    return image.crop((left, top, left + width, top + height))


_OF_TEXT: dict[str, Callable[[str, Random], str]] = {
    "one in five words misspelled": misspell,
    "no emoji": lambda text, _: without_emoji(text),
}
_OF_IMAGE: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "JPEG of quality 10": _compressed,
    "image blurred by 1 % of its side": _blurred,
    "image cropped to 80 % of each side": _cropped,
}
