"""Memotion 7k (Sharma et al. 2020, SemEval-2020 task 8): memes with five labels each."""

from collections.abc import Iterator
from pathlib import Path

from jointune.data.post import Post
from jointune.data.read import no_column
from jointune.data.tables.delimited import DelimitedTable
from jointune.datasets.gather import Candidate, malformed, missing
from jointune.datasets.published_files import SetFolder, find_encodings
from jointune.errors import SettingsError

LABELS = "labels.csv"
TASKS = ("overall_sentiment", "humour", "sarcasm", "offensive", "motivational")


def load_memotion(
    folder: Path, task: str = "overall_sentiment", keep_very: bool = False, encoding: str | None = None
) -> Iterator[Candidate]:
    """Yield the memes of ``labels.csv``, with their corrected texts, the images of ``images/`` and all five labels.

    Args:
        folder: as published.
        task: which of the five labels is the post's, one of ``TASKS``.
        keep_very: whether ``very_positive`` and ``very_negative`` stay labels of their own; otherwise they are merged
            into ``positive`` and ``negative``, as task A of SemEval-2020 does.
        encoding: of ``labels.csv`` if that is not UTF-8; detected by default.

    Raises:
        SettingsError: there is no such task.
        PostsError: ``labels.csv`` is missing, empty or malformed; the message names the row.
    """
    if task not in TASKS:
        raise SettingsError(f"task={task!r}: choose one of {', '.join(TASKS)}", setting="task")
    files = SetFolder(folder)
    path = files.require(LABELS)
    table = DelimitedTable(path, find_encodings([path], encoding)[path])
    lacking = {"image_name", "text_ocr", "text_corrected", *TASKS} - set(table.columns)
    if lacking:
        raise no_column(path.name, min(lacking), table.columns, "restore the file as it was published")
    for where, values, problem in table.rows():
        if problem:
            yield malformed(where, problem.what, problem.reason, problem.remedy.removesuffix(", or remove the row"))
            continue
        row = {name: str(value).strip() for name, value in values.items()}
        name = row["image_name"]
        label = row[task].casefold()
        if task == "overall_sentiment" and not keep_very:
            label = label.removeprefix("very_")
        image = files.find(f"images/{name}") if name else None
        post = Post(
            row["text_corrected"] or row["text_ocr"] or None,
            image,
            label or None,
            problem=None if image else missing(where, f"images/{name}"),
            where=where,
            fields={"id": name, **{column: row[column] or None for column in TASKS}},
        )
        yield Candidate(post, f"no {task}")
