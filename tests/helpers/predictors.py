"""Methods of one's own for a comparison; in a module that other processes can import."""

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np


class Guess:
    """Says what the training posts' frequencies say, whatever the post."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, posts, *, validation):
        counts = Counter(posts.labels)
        self.classes_ = np.array(sorted(counts))
        self.share = np.array([counts[label] / len(posts) for label in self.classes_], dtype=np.float32)
        return self

    def predict_proba(self, posts):
        assert all(post.label is None for post in posts), "test posts are shown without labels"
        return np.tile(self.share, (len(posts), 1))


class Words(Guess):
    """Knows the word that tells the label; wrong on every fifth post."""

    def fit(self, posts, *, validation):
        assert not {post.where for post in posts} & {post.where for post in validation}
        return super().fit(posts, validation=validation)

    def predict_proba(self, posts):
        good = np.array([("good" in post.text) ^ (index % 5 == 0) for index, post in enumerate(posts)])
        columns = [good * 0.9 + 0.05 if label == "positive" else 0.95 - good * 0.9 for label in self.classes_]
        return np.stack(columns, 1).astype(np.float32)


class Raising(Guess):
    """Fails, until a file says it may work."""

    def fit(self, posts, *, validation):
        if not Path(os.environ.get("RAISING_IS_MENDED", "nowhere")).exists():
            raise RuntimeError("the method has a fault")
        return super().fit(posts, validation=validation)


class Killed(Guess):
    """Is killed by the system, as by lack of memory."""

    def fit(self, posts, *, validation):
        os.kill(os.getpid(), signal.SIGKILL)


class WrongShape(Guess):
    """Gives too few rows."""

    def predict_proba(self, posts):
        return super().predict_proba(posts)[:-1]


class ReadsPictures(Guess):
    """Wants the text in every picture."""

    def fit(self, posts, *, validation):
        assert all(post.image_text == "good" for post in posts if post.image is not None)
        return super().fit(posts, validation=validation)


class Interrupted(Guess):
    """Is stopped by Ctrl-C."""

    def fit(self, posts, *, validation):
        raise KeyboardInterrupt


class Endless(Guess):
    """Says that it has begun, to a ``Lifeline`` and on standard output, and never ends."""

    def fit(self, posts, *, validation):
        self.lifeline = open(os.environ["LIFELINE"], "w", buffering=1)  # noqa: SIM115 - held until the process ends
        for output in (self.lifeline, sys.stdout):
            output.write("begun\n")
        time.sleep(600)
