"""MVSA-Single and MVSA-Multiple (Niu et al. 2016): tweets whose text and image were annotated separately."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jointune.data.post import Post
from jointune.datasets.gather import UNREADABLE, Candidate, malformed, missing
from jointune.datasets.published_files import SetFolder, find_encodings, read_text
from jointune.errors import PostsError, SettingsError

LABELS = "labelResultAll.txt"
WORDS = ("positive", "neutral", "negative")
BALANCED_RULES = frozenset({"paper"})
"""Rules whose authors balance the labels."""

_NAMES = {1: "mvsa-single", 3: "mvsa-multiple"}
_NO_MAJORITY = "no majority among the annotators"


class Votes(NamedTuple):
    """The annotators' labels of the text, and of the image."""

    text: tuple[str, ...]
    image: tuple[str, ...]


class Row(NamedTuple):
    """A row of the file of labels: its place, the post's number, and its votes."""

    where: str
    number: str
    votes: Votes


def majority(votes: Sequence[str]) -> str | None:
    """Return the vote of more than half of the annotators, if there is one."""
    ((word, count),) = Counter(votes).most_common(1)
    return word if 2 * count > len(votes) else None


def multisentinet(votes: Votes) -> tuple[str | None, str]:
    """Apply the rule of MultiSentiNet (Xu and Mao 2017), which most papers follow.

    Text and image each get the majority's label. If these are the same, that is the post's; if one is neutral, the
    other one is; if one is positive and the other negative, the post has none.

    Returns:
        The label, and why there is none.
    """
    text, image = majority(votes.text), majority(votes.image)
    if text is None or image is None:
        return None, _NO_MAJORITY
    polar = {text, image} - {"neutral"}
    if len(polar) > 1:
        return None, "text and picture contradict each other"
    return polar.pop() if polar else "neutral", ""


def most_common(votes: Votes) -> tuple[str | None, str]:
    """Apply the rule of de Toledo and Marcacini (2022, arXiv 2210.05790): the most common vote on text and image.

    The paper does not say how ties are resolved. Here a tie has no most common label, and the post has none: of
    MVSA-Single, with two votes a post, only the posts remain whose text and image agree.

    Returns:
        The label, and why there is none.
    """
    first, *others = Counter(votes.text + votes.image).most_common(2)
    if others and others[0][1] == first[1]:
        return None, "no label has the most votes"
    return first[0], ""


RULES: dict[str, Callable[[Votes], tuple[str | None, str]]] = {
    "multisentinet": multisentinet,
    "text": lambda votes: (majority(votes.text), _NO_MAJORITY),
    "image": lambda votes: (majority(votes.image), _NO_MAJORITY),
    "paper": most_common,
}


def load_mvsa(
    folder: Path, annotators: int, label_rule: str = "multisentinet", encoding: str | None = None
) -> Iterator[Candidate]:
    """Yield the tweets of ``labelResultAll.txt``, with ``data/<id>.txt`` and ``data/<id>.jpg``.

    They have the columns ``text_label`` and ``image_label``, the majority's label of text and image alone or nothing;
    with several annotators, also ``text_votes`` and ``image_votes``, in their order.

    Args:
        folder: as published.
        annotators: 1 in MVSA-Single, 3 in MVSA-Multiple.
        label_rule: the rule from votes to a label, one of ``RULES``.
        encoding: of texts that are not UTF-8; GB18030 by default, as in the published sets.

    Raises:
        SettingsError: there is no such rule.
        PostsError: the file of labels is missing, empty, of the other set, or malformed; the message names the row.
    """
    if label_rule not in RULES:
        raise SettingsError(f"label_rule={label_rule!r}: choose one of {', '.join(RULES)}", setting="label_rule")
    files = SetFolder(folder)
    rows = list(_rows(files.require(LABELS), annotators))
    texts = [files.find(f"data/{row.number}.txt") for row in rows if isinstance(row, Row)]
    encodings = find_encodings([text for text in texts if text], encoding, known="gb18030")
    for row in rows:
        yield row if isinstance(row, Candidate) else _candidate(row, files, label_rule, encodings)


def _candidate(row: Row, files: SetFolder, label_rule: str, encodings: dict[Path, str]) -> Candidate:
    where, number, votes = row
    label, unlabelled = RULES[label_rule](votes)
    fields = {"id": number, "text_label": majority(votes.text), "image_label": majority(votes.image)}
    if len(votes.text) > 1:
        fields |= {"text_votes": " ".join(votes.text), "image_votes": " ".join(votes.image)}
    file, image = files.find(f"data/{number}.txt"), files.find(f"data/{number}.jpg")
    if file is None or image is None:
        problem = missing(where, f"data/{number}.{'txt' if file is None else 'jpg'}")
        return Candidate(Post(label=label, problem=problem, where=where, fields=fields), unlabelled)
    text, unreadable = read_text(file, encodings[file], where)
    post = Post(text, image, label, problem=unreadable, where=where, fields=fields)
    return Candidate(post, unlabelled, fault=UNREADABLE)


def _rows(path: Path, annotators: int) -> Iterator[Row | Candidate]:
    content, _ = read_text(path, find_encodings([path])[path], path.name)
    lines = [(line, text.strip()) for line, text in enumerate((content or "").split("\n"), 1) if text.strip()]
    if not lines:
        raise PostsError(f"{path.name}: the file is empty", "restore it as it was published")
    header = lines[0][1].split("\t")
    if header[0].strip().casefold() != "id":
        raise PostsError(f"{path.name} line {lines[0][0]}: no header, which starts with ID", "restore it as published")
    if len(header) - 1 != annotators:
        right = _NAMES.get(len(header) - 1)
        raise PostsError(
            f"{path.name}: {len(header) - 1} columns of votes, and {_NAMES[annotators]} has {annotators}",
            f"import it as {right}" if right else "restore it as published",
        )
    for row, (line, text) in enumerate(lines[1:], 1):
        where = f"{path.name} row {row} (line {line})"
        number, *cells = [cell.strip() for cell in text.split("\t")]
        pairs = [tuple(word.strip().casefold() for word in cell.split(",")) for cell in cells]
        wrong = [cell for cell, pair in zip(cells, pairs, strict=True) if len(pair) != 2 or not set(pair) <= set(WORDS)]
        remedy = f"write it as in {','.join(WORDS[:2])}, of the words {', '.join(WORDS)}"
        if len(cells) != annotators:
            reason = f"it has {len(cells) + 1} fields and the header {len(header)}"
            yield malformed(where, "the row", reason, remedy)
        elif wrong:
            reason = f"{wrong[0][:80]!r} is not a vote on the text and one on the picture"
            yield malformed(where, "votes", reason, remedy)
        else:
            yield Row(where, number, Votes(*zip(*pairs, strict=True)))
