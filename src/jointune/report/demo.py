"""What ``jointune demo`` ends with, as Markdown."""

from collections.abc import Sequence

import numpy as np

from jointune.evaluation.metrics import Metrics
from jointune.posts.post import Posts


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
    lines = [
        "# jointune demo: report",
        "",
        f"A joint classifier was trained for {seconds:.0f} s on made-up demo posts and tested on {len(posts)} others. "
        "**These figures are about demo data and say nothing about real posts.**",
        "",
        "## Does it pay to look at both?",
        "",
        "In demo posts, as in many real ones, the text alone or the picture alone is often ambiguous.",
        "",
        "| the model sees | accuracy | 95 % interval | macro F1 |",
        "| --- | ---: | --- | ---: |",
    ]
    for shown_as, metrics in scores.items():
        low, high = metrics.accuracy_ci
        lines.append(f"| {shown_as} | {metrics.accuracy:.3f} | {low:.3f} to {high:.3f} | {metrics.macro_f1:.3f} |")
    lines += [
        "",
        "## Some predictions",
        "",
        "| text | picture | label | prediction | confidence |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for index in shown:
        post, row = posts[index], probabilities[index]
        picture = str(post.fields.get("image", ""))
        lines.append(f"| {post.text or ''} | {picture} | {post.label} | {labels[row.argmax()]} | {row.max():.2f} |")
    lines += [
        "",
        "## Which labels are confused",
        "",
        "Rows are true labels, columns predictions.",
        "",
        "| | " + " | ".join(labels) + " |",
        "| --- |" + " ---: |" * len(labels),
    ]
    for label, counts in zip(labels, joint.confusion_matrix, strict=True):
        lines.append(f"| **{label}** | " + " | ".join(map(str, counts)) + " |")
    lines += ["", "| label | precision | recall | F1 | posts |", "| --- | ---: | ---: | ---: | ---: |"]
    for label, row in joint.per_class.items():
        lines.append(f"| {label} | {row.precision:.2f} | {row.recall:.2f} | {row.f1:.2f} | {row.support} |")
    return "\n".join(lines) + "\n"
