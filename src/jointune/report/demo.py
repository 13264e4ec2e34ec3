"""What ``jointune demo`` ends with, as Markdown."""

from collections.abc import Sequence

import numpy as np

from jointune.counting import counted
from jointune.evaluation.metrics import Metrics, with_interval
from jointune.posts.post import Posts
from jointune.report.markdown import table


def demo_report(
    posts: Posts, probabilities: np.ndarray, scores: dict[str, Metrics], seconds: float, shown: Sequence[int]
) -> str:
    """The report on the demo's test posts.

    Args:
        posts: the test posts.
        probabilities: of the model that sees both modalities, float [N, C].
        scores: how the posts were shown to the model, to the scores it reached.
        seconds: of training.
        shown: which posts to list.
    """
    joint = next(iter(scores.values()))
    labels = joint.labels
    seen = [
        [
            shown_as,
            with_interval(metrics, "accuracy"),
            with_interval(metrics, "macro_f1"),
        ]
        for shown_as, metrics in scores.items()
    ]
    predictions = []
    for index in shown:
        post, row = posts[index], probabilities[index]
        picture = post.fields.get("image", "")
        predictions.append([post.text or "", picture, post.label, labels[row.argmax()], f"{row.max():.2f}"])
    confusions = [[f"**{label}**", *counts] for label, counts in zip(labels, joint.confusion_matrix, strict=True)]
    classes = [
        [label, *(with_interval(row, name) for name in ("precision", "recall", "f1")), row.support]
        for label, row in joint.per_class.items()
    ]
    lines = [
        "# jointune demo: report",
        "",
        f"A joint classifier was trained for {seconds:.0f} s on made-up demo posts and tested on "
        f"{counted(len(posts), 'other')}. "
        "**These figures are about demo data and say nothing about real posts.**",
        "",
        "## Does it pay to look at both?",
        "",
        "In demo posts, as in many real ones, the text alone or the picture alone is often ambiguous.",
        "",
        *table(["the model sees", "accuracy (95 % interval)", "macro F1 (95 % interval)"], "lrr", seen),
        "",
        "## Some predictions",
        "",
        *table(["text", "picture", "label", "prediction", "confidence"], "llllr", predictions),
        "",
        "## Which labels are confused",
        "",
        "Rows are true labels, columns predictions.",
        "",
        *table(["", *labels], "l" + "r" * len(labels), confusions),
        "",
        *table(["label", "precision", "recall", "F1", "posts"], "lrrrr", classes),
    ]
    return "\n".join(lines) + "\n"
