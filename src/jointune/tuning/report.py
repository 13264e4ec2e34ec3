"""The files that a tuning leaves: trials.csv, best.json and report.md."""

import csv
import json
import shlex
from pathlib import Path

from jointune.counting import counted
from jointune.errors import option
from jointune.files import atomic_file
from jointune.report.markdown import table
from jointune.tuning.result import Tuned


def write_report(tuned: Tuned, folder: Path) -> None:
    """Write the three files, each whole or not at all.

    Raises:
        OutputError: they cannot be written.
    """
    with atomic_file(folder / "trials.csv") as path, open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(tuned.trials[0]))
        writer.writeheader()
        writer.writerows(tuned.trials)
    with atomic_file(folder / "best.json") as path:
        path.write_text(json.dumps(tuned.best, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    with atomic_file(folder / "report.md") as path:
        path.write_text("\n".join(_lines(tuned)) + "\n", encoding="utf-8")


def _lines(tuned: Tuned) -> list[str]:
    header, *rows = tuned.table()
    return [
        "# Tuning",
        "",
        f"{counted(len(tuned.trials), 'trial')}, each scored on the same "
        f"{counted(tuned.validation_posts, 'validation post')}; the best of "
        "them:",
        "",
        *table(header, "l" + "r" * (len(header) - 1), rows),
        "",
        *(line for sentence in tuned.conclusions() for line in (sentence, "")),
        "All trials are in `trials.csv`. The best settings are in `best.json`, for `JointClassifier(**settings)`, and, "
        "with your posts and the options that say which columns are what, for",
        "",
        "```bash",
        f"jointune train POSTS {option('out', 'MODEL')} {shlex.join(tuned.options)}",
        "```",
    ]
