"""Share of planted faults that an audit finds: python benchmarks/audit.py POSTS [options].

Labels are flipped in several draws, and found by suspicion, by their out-of-fold loss, and by chance: average
precision, with 95 % intervals over the draws. Then copies of posts are planted, their picture recompressed or cropped,
or their hashtags changed: recall and precision of the pairs that are found.
"""

import io
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from results import circumstances, parser, save, show
from scipy.stats import t
from sklearn.metrics import average_precision_score

from jointune import JointClassifier, Post, Posts, read_posts
from jointune.audit.audit import suspicions
from jointune.audit.near_duplicates import near_duplicates
from jointune.audit.out_of_fold import judge_out_of_fold
from jointune.data.split import identity_groups
from jointune.modalities.image.decode import decode_posts
from jointune.modalities.image.open import open_image
from jointune.training.fit import load_modalities


def flipped(posts: Posts, share: float, random: np.random.Generator) -> tuple[Posts, np.ndarray]:
    """Give a share of the posts another label, and return which."""
    wrong = random.permutation(len(posts)) < share * len(posts)
    labels = [str(label) for label in posts.label_names]
    others = [random.choice([label for label in labels if label != post.label]) for post in posts]
    changed = (
        replace(post, label=str(other) if hit else post.label)
        for post, other, hit in zip(posts, others, wrong, strict=True)
    )
    return Posts(changed, posts.name), wrong


def precision_of_draw(posts: Posts, share: float, seed: int) -> dict[str, float]:
    """Flip labels, and return the average precision of each ranking."""
    noisy, wrong = flipped(posts, share, np.random.default_rng(seed))
    judged = judge_out_of_fold(noisy, JointClassifier(seed=seed, progress=False))
    loss = -np.log(np.maximum(np.take_along_axis(judged.answers, judged.labels[:, None], 1)[:, 0], 1e-12))
    rankings = {
        "suspicion": suspicions(judged.labels, judged.answers),
        "loss": loss,
        "chance": np.random.default_rng([seed, 1]).random(len(wrong)),
    }
    return {name: float(average_precision_score(wrong, values)) for name, values in rankings.items()}


def mean_and_interval(values: Sequence[float]) -> str:
    """Return a mean with its 95 % interval by Student's distribution."""
    reach = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ({np.mean(values) - reach:.3f} to {np.mean(values) + reach:.3f})"


def recompressed(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Save as a JPEG of some quality from 30 to 70."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(random.integers(30, 71)))
    return Image.open(file)


def cropped(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut off 5 % of the width and of the height, at any of the edges."""
    width, height = (round(0.95 * side) for side in image.size)
    left, top = random.integers(0, image.width - width + 1), random.integers(0, image.height - height + 1)
    return image.crop((left, top, left + width, top + height))


def planted(
    posts: Posts, count: int, folder: Path, random: np.random.Generator
) -> tuple[list[Post], list[int], list[str]]:
    """Return copies of posts with one modality, the number of the post that each is of, and what was changed."""
    copies: list[Post] = []
    origins: list[int] = []
    changes: list[str] = []
    ways: list[Callable[[Image.Image, np.random.Generator], Image.Image]] = [recompressed, cropped]
    with_image = [number for number, post in enumerate(posts) if post.images]
    for way in ways:
        for number in random.permutation(with_image)[:count].tolist():
            path = folder / f"{way.__name__}-{number}.png"
            way(open_image(posts[number].images[0]), random).save(path)
            copies.append(replace(posts[number], text=None, image=path))
            origins.append(number)
            changes.append(way.__name__)
    long = [number for number, post in enumerate(posts) if post.text and "#" in post.text and len(post.text) > 40]
    for number in random.permutation(long)[:count].tolist():
        words = str(posts[number].text).split()
        last = max(place for place, word in enumerate(words) if "#" in word)
        words[last] = f"#tag{random.integers(1000)}"
        copies.append(replace(posts[number], text=" ".join(words), image=None))
        origins.append(number)
        changes.append("hashtag changed")
    return copies, origins, changes


def prepared_images(posts: Sequence[Post]) -> Iterator[np.ndarray | None]:
    """Yield the first image of each post as an audit compares it: as the image encoder takes it."""
    image: Any = load_modalities(JointClassifier().validated())["image"].preprocessor
    for decoded in decode_posts(posts, lambda opened: image.crop(image.prepare(opened)), image.resize[::-1]):
        yield decoded.images[0] if decoded.images else None


def duplicates(posts: Posts, count: int, seed: int) -> dict[str, dict[str, float]]:
    """Plant copies, and return recall and precision by change.

    A pair of a copy and a post other than its own counts as false, unless that post shares a file or a text with its
    own: some of these are near-duplicates, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        copies, origins, changes = planted(posts, count, Path(folder), np.random.default_rng(seed))
        everyone = [*posts, *copies]
        found = near_duplicates([post.whole_text for post in everyone], prepared_images(everyone))
    groups = identity_groups(posts)
    pairs = [(pair.first, pair.second - len(posts)) for pair in found if pair.second >= len(posts) > pair.first]
    result = {}
    for change in dict.fromkeys(changes):
        own = [(first, copy) for first, copy in pairs if changes[copy] == change]
        right = [(first, copy) for first, copy in own if groups[first] == groups[origins[copy]]]
        hit = {copy for first, copy in own if first == origins[copy]}
        total = changes.count(change)
        result[change] = {"planted": total, "recall": len(hit) / total, "precision": len(right) / max(len(own), 1)}
    return result


def main(options: Namespace) -> None:
    """Run both parts, and print their tables."""
    posts = read_posts(options.posts)
    result: dict[str, object] = {"circumstances": circumstances(), "posts": len(posts)}
    began = time.perf_counter()
    draws = [precision_of_draw(posts, options.share, seed) for seed in range(options.draws)]
    result |= {"average precision": draws, "seconds a draw": (time.perf_counter() - began) / max(len(draws), 1)}
    save(options.out, result)
    if len(draws) > 1:
        rows = [[name, mean_and_interval([draw[name] for draw in draws])] for name in draws[0]]
        rows += [
            [f"suspicion minus {name}", mean_and_interval([draw["suspicion"] - draw[name] for draw in draws])]
            for name in ("loss", "chance")
        ]
        show([f"{options.share:.0%} of labels flipped", "average precision (95 %)"], rows)
    found = duplicates(posts, options.planted, 0)
    save(options.out, result | {"near-duplicates": found})
    rows = [
        [name, str(one["planted"]), f"{one['recall']:.3f}", f"{one['precision']:.3f}"] for name, one in found.items()
    ]
    show(["planted", "copies", "recall", "precision"], rows)


if __name__ == "__main__":
    arguments = parser(__doc__, "audit")
    arguments.add_argument("posts", type=Path)
    arguments.add_argument("--draws", type=int, default=10)
    arguments.add_argument("--share", type=float, default=0.05, help="of the labels that are flipped")
    arguments.add_argument("--planted", type=int, default=200, help="copies of each kind")
    main(arguments.parse_args())
