"""Whether a model knows what it does not know: python benchmarks/uncertainty.py POSTS [options].

Trains on the posts of the split ``train``, of which a part is kept for validation, and asks about those of
``validation``, which the model has not seen: how often prediction sets hold the true label, beside the interval that so
few validation posts allow; and how well the unlike-score tells posts of the table from posts of other kinds (area under
the ROC curve): noise in place of the image, a text in another script, and texts with images of other posts.
"""

import io
import time
from argparse import Namespace
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from results import circumstances, parser, save, show
from sklearn.metrics import roc_auc_score

from jointune import JointClassifier, Posts, read_posts
from jointune.evaluation.conformal import coverage_interval
from jointune.evaluation.intervals import wilson

FOREIGN = "आज सुबह हम नदी के किनारे बैठकर चाय पी रहे थे"


def noise(rng: np.random.Generator) -> bytes:
    """Return a PNG of coloured noise."""
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def strange(posts: Posts, seed: int) -> dict[str, Posts]:
    """Return posts of other kinds, by what is changed in them."""
    rng = np.random.default_rng(seed)
    words = FOREIGN.split()
    moved = np.roll(np.arange(len(posts)), len(posts) // 2)
    changed = {
        "noise for the image": [replace(post, image=noise(rng)) for post in posts],
        "text in another script": [replace(post, text=" ".join(rng.permutation(words))) for post in posts],
        "both": [replace(post, image=noise(rng), text=" ".join(rng.permutation(words))) for post in posts],
        "images swapped": [replace(post, image=posts[other].image) for post, other in zip(posts, moved, strict=True)],
    }
    return {name: Posts(made) for name, made in changed.items()}


def main(options: Namespace) -> None:
    """Measure and print."""
    posts = read_posts(options.posts, split_column="split")
    known, unseen = (Posts([replace(post, split=None) for post in posts.in_split(s)]) for s in ("train", "validation"))
    classifier = JointClassifier(seed=options.seed, progress=False)
    classifier.fit(known, validation=options.validation)
    result: dict[str, Any] = {"circumstances": circumstances(), "coverage": {}, "unlike": {}}
    conformity = classifier.conformity_
    assert conformity is not None, "the model was trained just now"
    rows = []
    for sets in ("lac", "adaptive"):
        for coverage in (0.8, 0.9, 0.95):
            found = classifier.predict_set(unseen, coverage, sets)
            held = sum(post.label in own for post, own in zip(unseen, found, strict=True))
            low, high = coverage_interval(len(conformity.held), coverage)
            share, size = held / len(unseen), float(np.mean([len(own) for own in found]))
            result["coverage"][f"{sets} {coverage}"] = {"held": share, "allowed": [low, high], "labels": size}
            drawn = "{:.3f} to {:.3f}".format(*wilson(held, len(unseen)))
            rows.append([sets, coverage, f"{share:.3f}", drawn, f"{low:.3f} to {high:.3f}", f"{size:.2f}"])
    show(["sets", "asked", "held", "interval", "expected", "labels"], rows)
    usual = classifier.unlike(unseen)
    rows = []
    for name, made in strange(unseen, options.seed).items():
        began = time.perf_counter()
        answers = classifier.unlike(made)
        strangers, both = [0] * len(usual) + [1] * len(made), usual + answers
        area = float(roc_auc_score(strangers, [one.unlike_score for one in both]))
        by_logit = float(roc_auc_score(strangers, [-(one.max_logit or 0.0) for one in both]))
        said = {one.unlike for one in answers}
        named = {what: sum(one.unlike == what for one in answers) / len(answers) for what in sorted(said)}
        result["unlike"][name] = {
            "auroc": area,
            "max_logit": by_logit,
            "said": named,
            "seconds": time.perf_counter() - began,
        }
        rows.append(
            [
                name,
                f"{area:.3f}",
                f"{by_logit:.3f}",
                ", ".join(f"{what or 'usual'} {share:.2f}" for what, share in named.items()),
            ]
        )
    show(["posts", "area under the curve", "by the greatest logit", "said"], rows)
    save(options.out, result)


if __name__ == "__main__":
    arguments = parser(__doc__, "uncertainty")
    arguments.add_argument("posts")
    arguments.add_argument("--validation", type=float, default=0.2, help="share of the training posts (default: 0.2)")
    arguments.add_argument("--seed", type=int, default=0, help="(default: 0)")
    main(arguments.parse_args())
