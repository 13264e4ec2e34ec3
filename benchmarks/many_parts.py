"""What parts cost beside their posts: python benchmarks/many_parts.py [--sizes 10000 100000 ...].

Parts without rows are listed; the first thousands are written with their entry in the manifest, and checked as --resume
checks them. Milliseconds a part, and the memory of this process.
"""

import tempfile
import time
from pathlib import Path

from results import circumstances, parser, save, show

from jointune.data.read import Columns
from jointune.output.predicted_table import PredictOptions
from jointune.scale.input_parts import input_parts
from jointune.scale.scored_folder import ScoredFolder
from jointune.utils.memory import peak_memory

_WRITTEN = 2_000
"""Parts that are written and checked: each flushes two files to the disk, which takes long."""


def measure(number: int, folder: Path) -> dict[str, float]:
    """Return milliseconds a part of each step for this number of parts."""
    posts = folder / "posts"
    posts.mkdir()
    for index in range(number):
        (posts / f"part{index:07}.csv").write_text("id,text\n")
    began = time.perf_counter()
    parts = input_parts(str(posts), PredictOptions("", Columns()))
    found = {"parts": number, "list": 1000 * (time.perf_counter() - began) / number}
    scored, parts = ScoredFolder(str(folder / "scored")), parts[:_WRITTEN]
    began = time.perf_counter()
    for part in parts:
        output = scored.output(part)
        with output.file(part.name) as path:
            path.write_text("id,text,prediction\n")
        output.finish(0, 0, 0)
    found["write"] = 1000 * (time.perf_counter() - began) / len(parts)
    began = time.perf_counter()
    assert all(scored.finished(part) for part in parts)
    found["check"] = 1000 * (time.perf_counter() - began) / len(parts)
    return found | {"peak MiB": (peak_memory() or 0) / 2**20}


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, "many_parts")
    options.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    chosen = options.parse_args()
    rows = []
    for number in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(number, Path(folder)))
        save(chosen.out, {"circumstances": circumstances(), "milliseconds": rows})
    steps = ("list", "write", "check")
    show(
        ["parts", *(f"{step}, ms a part" for step in steps), "peak MiB"],
        [[f"{row['parts']:,}", *(f"{row[step]:.2f}" for step in steps), f"{row['peak MiB']:.0f}"] for row in rows],
    )


if __name__ == "__main__":
    main()
