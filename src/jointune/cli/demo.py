"""jointune demo."""

import csv
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from jointune.cli.options import Force, Quiet, out
from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.evaluation.score_table import ScoreTable, with_interval
from jointune.targets.single_label import SingleLabel
from jointune.utils.files import atomic_folder, write_json
from jointune.utils.markdown import table
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted


@locking("path")
def demo(
    path: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.")] = Path("jointune-demo"),
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Check, train, evaluate and predict on the embedded demo posts, and end with a report."""
    from rich.markdown import Markdown

    from jointune.cli.check import check
    from jointune.cli.evaluate import evaluate
    from jointune.cli.predict import predict
    from jointune.demo import POSTS

    RunFolder(path, "report.json", force=force).refuse()
    with atomic_folder(path) as folder:
        _announce("1. Check the demo posts", "check", str(POSTS), "--split-column", "split")
        check(POSTS, split_column="split", quiet=True)  # type: ignore[call-arg]

        from jointune import JointClassifier

        posts = read_posts(POSTS, split_column="split")
        test = posts.in_split("test")
        _write_test_posts(POSTS, folder / "test.csv")

        _announce("2. Train a joint classifier", "train", str(POSTS), "--split-column=split", f"--out={path}/model")
        began = time.monotonic()
        classifier = JointClassifier(seed=seed, progress=not quiet)
        classifier.fit(posts.in_split("train"), validation=posts.in_split("validation"))
        seconds = time.monotonic() - began
        classifier.save(folder / "model")

        page = f"--report={path}/evaluation.html"
        arguments = f"{path}/model", f"{path}/test.csv"
        _announce("3. Evaluate it on posts it has not seen", "evaluate", *arguments, f"--out={path}/metrics.json", page)
        with _as_if_in(path, folder):
            shown = folder / "evaluation.html"
            evaluate(str(folder / "model"), folder / "test.csv", folder / "metrics.json", report=shown, quiet=True)
        _announce("4. Predict", "predict", *arguments, f"--out={path}/scored.csv")
        with _as_if_in(path, folder):
            predict(str(folder / "model"), str(folder / "test.csv"), str(folder / "scored.csv"), quiet=True)

        loaded = JointClassifier.load(folder / "model")
        scores = {
            "text and picture": loaded.evaluate(test),
            "only the text": loaded.evaluate(test.without("image")),
            "only the picture": loaded.evaluate(test.without("text")),
        }
        report = demo_report(test, loaded.predict_proba(test), scores, seconds, range(0, len(test), 6))
        (folder / "report.md").write_text(report, encoding="utf-8")
        write_json(folder / "report.json", {name: metrics.to_dict() for name, metrics in scores.items()})
    out.print("\n5. The report", style="bold")
    out.print(Markdown(report))
    out.print(
        f"\nEverything is in {path}: model/ (the bundle, with its model card), metrics.json, scored.csv, report.md.\n"
        f"Look at the evaluation, with its errors and their pictures: {path}/evaluation.html\n"
        "Your own posts next: jointune train posts.csv --out my-model"
    )


@contextmanager
def _as_if_in(path: Path, folder: Path) -> Iterator[None]:
    """Let messages name the final folder, not the temporary one in which it is made."""
    with out.capture() as messages:
        yield
    out.print(messages.get().replace(str(folder), str(path)), end="", markup=False)


def _announce(step: str, *command: str) -> None:
    out.print(f"\n{step}", style="bold")
    out.print(f"$ jointune {shlex.join(command)}", style="dim")


def _write_test_posts(posts: Path, path: Path) -> None:
    """Write the test rows, with absolute picture paths since the table lies elsewhere."""
    with open(posts, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"image": str(posts.parent / row["image"])} for row in rows)


def demo_report(
    posts: Posts, probabilities: np.ndarray, scores: dict[str, ScoreTable], seconds: float, shown: Sequence[int]
) -> str:
    """Return the report on the demo's test posts, in Markdown.

    Args:
        posts: the test posts.
        probabilities: of the model that sees both modalities, float [N, C].
        scores: by what the model saw of the posts, both modalities first.
        seconds: of training.
        shown: numbers of the posts to list.
    """
    joint = next(iter(scores.values()))
    labels, target = joint.labels, SingleLabel(joint.labels)
    comparison = [
        [seen, with_interval(metrics, "accuracy"), with_interval(metrics, "macro_f1")]
        for seen, metrics in scores.items()
    ]
    predictions = [
        [posts[index].text or "", posts[index].fields.get("image", ""), posts[index].label, answer, f"{confidence:.2f}"]
        for index in shown
        for answer, confidence in [target.answer(probabilities[index])]
    ]
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
        *table(["the model sees", "accuracy (95 % interval)", "macro F1 (95 % interval)"], "lrr", comparison),
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
