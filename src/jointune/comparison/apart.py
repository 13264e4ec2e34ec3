"""Running a cell in a process of its own."""

import pickle
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from jointune.comparison.cells import CellResult, Failure, load_result
from jointune.comparison.worker import Job
from jointune.errors import InterruptedTraining
from jointune.progress import Bar


def run_apart(job: Job, scratch: Path, bar: Bar) -> CellResult | Failure:
    """Run a cell in a new process, showing the last line that it prints.

    Args:
        job: the cell.
        scratch: a folder for what the processes exchange.
        bar: where the line is shown.

    Raises:
        InterruptedTraining: Ctrl-C.
    """
    path = scratch / "job.pickle"
    path.write_bytes(pickle.dumps(sys.path) + pickled(job))
    last: deque[str] = deque(maxlen=60)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jointune.comparison.worker", str(path)],
        stdin=subprocess.PIPE,  # closed by the system where this process is killed, by which the other knows
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        assert process.stdout is not None, "it is a pipe"
        for line in process.stdout:
            last.append(line.rstrip())
            bar.note(f"{job.cell}: {line.strip()}")
        code = process.wait()
    except KeyboardInterrupt:
        raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None, "both are pipes"
            pipe.close()
    result = load_result(job.cell, job.folder) if code == 0 else None
    if result:
        return result
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    reason = next((line for line in reversed(last) if line.strip()), "it printed nothing")
    return Failure(job.cell, f"{reason} ({ended})", "\n".join(last))


def pickled(value: Any) -> bytes:
    """cloudpickle, so that a method of one's own may be defined in a notebook."""
    import cloudpickle

    return bytes(cloudpickle.dumps(value))
