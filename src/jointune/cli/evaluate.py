"""jointune evaluate."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointune.cli.options import (
    BundleArgument,
    Device,
    Engine,
    Force,
    OnBad,
    OnlySplit,
    PostsArgument,
    Quiet,
    check_page,
    out,
    say_affected,
    sentence,
    takes_columns,
)
from jointune.cli.posts_options import read_split
from jointune.data.problems import Problem, valid_policy
from jointune.data.read import Columns
from jointune.errors import JointuneWarning
from jointune.evaluation.score_table import ScoreTable, title
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.output.pages.figures import signed, signed_interval
from jointune.output.pages.render import check_pages
from jointune.utils.files import EXPORT_MARK, atomic_file
from jointune.utils.run_folder import locking, refuse_existing
from jointune.utils.wording import visible

if TYPE_CHECKING:
    from jointune.inference.predictor import Predictor
    from jointune.output.pages.evaluation_page import Rival


@locking("path")
@takes_columns
def evaluate(
    bundle: BundleArgument,
    posts: PostsArgument,
    path: Annotated[
        Path | None, typer.Option("--out", metavar="metrics.json", help="Where to write the scores.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="PAGE.html", help="A page to write, with the scores, the errors and their pictures."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="BUNDLE", help="Another model to pair it with, on the same posts.")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="COLUMN,...", help="Columns whose values are scored apart.")] = None,
    split: OnlySplit = None,
    use: Columns = Columns(),  # noqa: B008 - immutable
    encoding: str | None = None,
    on_bad_image: OnBad = "error",
    device: Device = None,
    engine: Engine = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Score a bundle on labelled posts, with 95 % intervals."""
    for output in filter(None, (path, report)):
        refuse_existing(output, force, source=posts)
    if report:
        check_page("--report", report)
        check_pages()
    policy = valid_policy(on_bad_image)
    columns = [name.strip() for name in by.split(",")] if by else []
    check_options(bundle, device, engine=engine)
    if against:
        check_options(against)
    labelled = read_split(posts, split, columns_of(bundle, use), encoding)

    from jointune.inference.evaluate import compare_evaluations, evaluation_of, values_of
    from jointune.output.pages.evaluation_page import Rival, write_evaluation

    for column in columns:
        values_of(labelled, column)
    problems: list[Problem] = []
    predictor = load_predictor(bundle, device, engine=engine)
    other = _other_predictor(against, predictor, device, engine) if against else None
    found = evaluation_of(predictor, labelled, policy, problems, progress=not quiet)
    for note in found.notes:
        warnings.warn(note, JointuneWarning, stacklevel=2)
    apart = {column: found.by(column) for column in columns}
    rival = None
    if against and other:
        own, its = Path(bundle).name, Path(against).name
        theirs = evaluation_of(other, labelled, policy, progress=not quiet)
        rival = Rival(its if its != own else against, theirs, compare_evaluations(found, theirs))
    if path:  # before anything is printed: nobody may be listening
        with atomic_file(path) as temporary:
            content = json.dumps(_values(found.metrics, apart, rival), indent=2, ensure_ascii=False)
            temporary.write_text(f"{content}\n", encoding="utf-8")
    if report:
        write_evaluation(report, Path(bundle).name, found, apart, rival)
    say_affected(problems, policy)
    _print(found.metrics, apart, rival)
    for output in filter(None, (path, report)):
        out.print(f"wrote {output}")


def _print(metrics: ScoreTable, apart: dict[str, dict[str, ScoreTable]], rival: "Rival | None") -> None:
    out.print(sentence(metrics))
    for label, scores in metrics.by_label().items():
        out.print(f"  {visible(label)}: {scores}")
    for column, values in apart.items():
        out.print(f"by {visible(column)}:")
        for value, one in values.items():
            out.print(f"  {visible(value) or '(empty)'}: {sentence(one)}")
    if rival:
        out.print(f"minus {rival.name}, on the same posts: {_differences(rival)}")


def _other_predictor(bundle: str, own: "Predictor", device: str | None, engine: str | None) -> "Predictor":
    """Load the model to pair with; the engine is for an exported one alone, and the device for a bundle."""
    from jointune.inference.evaluate import check_pair

    exported = (Path(bundle).expanduser() / EXPORT_MARK).is_file()
    other = load_predictor(bundle, None if exported else device, engine=engine if exported else None)
    check_pair(own.target, other.target, bundle)
    return other


def _values(metrics: ScoreTable, apart: dict[str, dict[str, ScoreTable]], rival: "Rival | None") -> dict[str, Any]:
    by = {column: {value: one.to_dict() for value, one in values.items()} for column, values in apart.items()}
    against = {"name": rival.name, "differences": {k: asdict(v) for k, v in rival.differences.items()}} if rival else {}
    return metrics.to_dict() | ({"by": by} if by else {}) | ({"against": against} if against else {})


def _differences(rival: "Rival") -> str:
    return ", ".join(
        f"{title(name)} {signed(one.value)} ({signed_interval(one.low, one.high)}"
        f"{'' if one.distinguishable else ', not distinguishable'})"
        for name, one in rival.differences.items()
    )
