"""jointune demo."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from jointune.commands.options import Force, Quiet, out
from jointune.files import atomic_file, atomic_folder
from jointune.run_folder import locking, refuse_existing


@locking("path")
def demo(
    path: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to write.")] = Path("jointune-demo"),
    seed: Annotated[int, typer.Option(help="Of every random draw.")] = 0,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Check, train, evaluate and predict on the embedded demo posts, and end with a report."""
    from rich.markdown import Markdown

    from jointune.commands.check import check
    from jointune.commands.evaluate import evaluate
    from jointune.commands.predict import predict
    from jointune.demo import POSTS

    refuse_existing(path, force, mark="report.json")
    with atomic_folder(path) as folder:
        _say("1. Check the demo posts", "check", str(POSTS), "--split-column", "split")
        check(POSTS, split_column="split", quiet=True)

        from jointune import JointClassifier
        from jointune.posts.read import read_posts
        from jointune.report.demo import demo_report

        posts = read_posts(POSTS, split_column="split")
        test = posts.in_split("test")
        with atomic_file(folder / "test.csv") as temporary:
            temporary.write_text(_test_table(POSTS), encoding="utf-8")

        _say("2. Train a joint classifier", "train", str(POSTS), "--split-column=split", f"--out={path}/model")
        began = time.monotonic()
        classifier = JointClassifier(seed=seed, progress=not quiet)
        classifier.fit(posts.in_split("train"), validation=posts.in_split("validation"))
        seconds = time.monotonic() - began
        classifier.save(folder / "model")

        table = folder / "test.csv"
        _say(
            "3. Evaluate it on posts it has not seen",
            "evaluate",
            f"{path}/model",
            f"{path}/test.csv",
            f"--out={path}/metrics.json",
        )
        with _as_if_in(path, folder):
            evaluate(str(folder / "model"), table, folder / "metrics.json", quiet=True)
        _say("4. Predict", "predict", f"{path}/model", f"{path}/test.csv", f"--out={path}/scored.csv")
        with _as_if_in(path, folder):
            predict(str(folder / "model"), str(table), folder / "scored.csv", quiet=True)

        loaded = JointClassifier.load(folder / "model")
        scores = {
            "text and picture": loaded.evaluate(test),
            "only the text": loaded.evaluate(test.without("image")),
            "only the picture": loaded.evaluate(test.without("text")),
        }
        report = demo_report(test, loaded.predict_proba(test), scores, seconds, range(0, len(test), 6))
        (folder / "report.md").write_text(report, encoding="utf-8")
        facts = {name: metrics.to_dict() for name, metrics in scores.items()}
        (folder / "report.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    out.print("\n5. The report", style="bold")
    out.print(Markdown(report))
    out.print(
        f"\nEverything is in {path}: model/ (the bundle, with its model card), metrics.json, scored.csv, report.md.\n"
        "Your own posts next: jointune train posts.csv --out my-model"
    )


@contextmanager
def _as_if_in(path: Path, folder: Path) -> Iterator[None]:
    """Let messages name the folder that everything will be in, not the temporary one that it is made in."""
    with out.capture() as said:
        yield
    out.print(said.get().replace(str(folder), str(path)), end="", markup=False)


def _say(what: str, *command: str) -> None:
    out.print(f"\n{what}", style="bold")
    out.print(f"$ jointune {shlex.join(command)}", style="dim")


def _test_table(posts: Path) -> str:
    """The test rows, with absolute picture paths, since the table is written elsewhere."""
    import csv
    import io

    with open(posts, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"image": str(posts.parent / row["image"])} for row in rows)
    return written.getvalue()
