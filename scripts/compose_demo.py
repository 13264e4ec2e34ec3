"""Compose the demo data of jointune: posts of a text and a picture, of which often only the pair tells the label.

Run it from anywhere, `python scripts/compose_demo.py [FOLDER]`; it writes `posts.csv` and `pictures/` into the demo
folder of the package (or FOLDER) and prints the counts.  The same code gives the same posts and the same pixels.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from demo_pictures import draw
from demo_texts import AGREEING_TEXTS, FLAT_TEXTS, OPEN_TEXTS, PLAIN_PICTURE_TEXTS, SARCASTIC_TEXTS

SEED = "jointune demo 1"
TARGET = Path(__file__).resolve().parent.parent / "src" / "jointune" / "demo" / "data"
LABELS = ("positive", "neutral", "negative")
SPLITS = ("train", "train", "train", "validation", "test")
"""Three, one and one of every five posts of a kind, so that each split asks for what the training split teaches."""

WEBP_QUALITY = 80


@dataclass(frozen=True)
class Post:
    """One post before it has an id: its words, what its picture shows, and where it belongs."""

    text: str
    motif: str
    state: str
    label: str
    split: str


def deal(rng: random.Random, posts: list[tuple[str, str, str, str]]) -> list[Post]:
    """Deal posts (text, motif, state, label) of one kind out to the splits; a multiple of five of them."""
    if len(posts) % len(SPLITS):
        raise ValueError(f"{len(posts)} posts of a kind cannot be dealt out to {len(SPLITS)} places")
    places = list(SPLITS) * (len(posts) // len(SPLITS))
    rng.shuffle(places)
    return [Post(*post, split) for post, split in zip(posts, places, strict=True)]


def compose() -> list[Post]:
    """Pair texts with motifs and states, kind by kind, and mix the posts well."""
    rng = random.Random(SEED)
    posts: list[Post] = []
    for motif, texts in OPEN_TEXTS.items():
        shuffled = rng.sample(texts, len(texts))
        share = len(texts) // len(LABELS)
        for step, label in enumerate(LABELS):
            mine = shuffled[step * share : (step + 1) * share]
            posts += deal(rng, [(text, motif, label, label) for text in mine])
    for motif, by_label in PLAIN_PICTURE_TEXTS.items():
        for label, texts in by_label.items():
            posts += deal(rng, [(text, motif, "neutral", label) for text in texts])
    for label, by_motif in AGREEING_TEXTS.items():
        posts += deal(rng, [(text, motif, label, label) for motif, texts in by_motif.items() for text in texts])
    posts += deal(
        rng, [(text, motif, "negative", "negative") for motif, texts in SARCASTIC_TEXTS.items() for text in texts]
    )
    for motif, texts in FLAT_TEXTS.items():
        posts += deal(rng, [(text, motif, "neutral", "neutral") for text in texts])
    rng.shuffle(posts)
    texts = [" ".join(post.text.lower().split()) for post in posts]
    if len(set(texts)) != len(texts):
        raise ValueError(f"a text is used twice: {[text for text, count in Counter(texts).items() if count > 1]}")
    return posts


def write(posts: list[Post], target: Path) -> int:
    """Draw the pictures and write the table; returns the size of the pictures in bytes."""
    pictures = target / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("post*.webp"):
        old.unlink()
    total = 0
    seen: set[bytes] = set()
    with (target / "posts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("id", "text", "image", "label", "split"))
        for number, post in enumerate(posts, start=1):
            name = f"post{number:03d}"
            # The text is the seed, so that a change to one post leaves every other picture as it is.
            picture = draw(post.motif, post.state, f"{SEED}|{post.text}")
            digest = hashlib.sha256(picture.tobytes()).digest()
            if digest in seen:
                raise ValueError(f"the picture of {name} is there already")
            seen.add(digest)
            path = pictures / f"{name}.webp"
            picture.save(path, "WEBP", quality=WEBP_QUALITY, method=6)
            total += path.stat().st_size
            table.writerow((name, post.text, f"pictures/{path.name}", post.label, post.split))
    return total


def main() -> None:
    """Compose, write and count."""
    parser = argparse.ArgumentParser(description="Compose the demo data of jointune.")
    parser.add_argument("folder", nargs="?", type=Path, default=TARGET, help="where to write (default: %(default)s)")
    folder = parser.parse_args().folder
    posts = compose()
    total = write(posts, folder)
    print(f"{len(posts)} posts, {total / 1024:.0f} KiB of pictures in {folder}")
    for split in dict.fromkeys(SPLITS):
        counts = Counter(post.label for post in posts if post.split == split)
        print(f"{split}: " + ", ".join(f"{counts[label]} {label}" for label in LABELS))


if __name__ == "__main__":
    main()
