"""What parts cost beside their posts: python benchmarks/many_parts.py [--sizes 10000 100000 ...].

Parts without rows are listed, written with their entry in the manifest, and checked as --resume checks them. Seconds,
and the memory of this process.
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


def measure(number: int, folder: Path) -> dict[str, float]:
    """Return seconds of each step for this number of parts."""
    posts = folder / "posts"
    posts.mkdir()
    for index in range(number):
        (posts / f"part{index:07}.csv").write_text("id,text\n")
    seconds: dict[str, float] = {"parts": number}
    began = time.perf_counter()
    parts = input_parts(str(posts), PredictOptions("", Columns()))
    seconds["list"] = time.perf_counter() - began
    scored = ScoredFolder(str(folder / "scored"))
    began = time.perf_counter()
    for part in parts:
        output = scored.output(part)
        with output.file(part.name) as path:
            path.write_text("id,text,prediction\n")
        output.finish(0, 0, 0)
    seconds["write"] = time.perf_counter() - began
    began = time.perf_counter()
    assert all(scored.finished(part) for part in parts)
    seconds["check"] = time.perf_counter() - began
    seconds["peak MiB"] = (peak_memory() or 0) / 2**20
    return seconds


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, "many_parts")
    options.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    chosen = options.parse_args()
    rows = []
    for number in chosen.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(number, Path(folder)))
        save(chosen.out, {"circumstances": circumstances(), "seconds": rows})
    steps = ("list", "write", "check")
    show(
        ["parts", *(f"{step}, s" for step in steps), "peak MiB"],
        [[f"{row['parts']:,}", *(f"{row[step]:.1f}" for step in steps), f"{row['peak MiB']:.0f}"] for row in rows],
    )


if __name__ == "__main__":
    main()
