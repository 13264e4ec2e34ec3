"""Running a cell in a process of its own."""

import pickle
import subprocess
import sys
from collections import deque
from contextlib import suppress
from io import TextIOWrapper

from jointune.comparison.cells import CellResult, Failure, load_result
from jointune.comparison.worker import Job
from jointune.errors import InterruptedTraining
from jointune.progress import Bar


def run_apart(job: Job, bar: Bar) -> CellResult | Failure:
    """Run a cell in a new process, showing the last line that it prints.

    Args:
        job: the cell.
        bar: where the line is shown.

    Raises:
        InterruptedTraining: Ctrl-C.
    """
    import cloudpickle

    last: deque[str] = deque(maxlen=60)
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "jointune.comparison.worker"],
        stdin=subprocess.PIPE,  # closed by the system where this process is killed, by which the other knows
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    lines = TextIOWrapper(process.stdout, encoding="utf-8", errors="replace")
    try:
        with suppress(BrokenPipeError):  # it ended already; what it printed says why
            pickle.dump(sys.path, process.stdin)
            cloudpickle.dump(job, process.stdin)  # it takes a method that is defined in a notebook
            process.stdin.flush()
        for line in lines:
            last.append(line.rstrip())
            bar.note(f"{job.cell}: {line.strip()}")
        code = process.wait()
    except KeyboardInterrupt:
        raise InterruptedTraining("the comparison was interrupted; finished cells are kept") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        lines.close()
    result = load_result(job.cell, job.folder) if code == 0 else None
    if result:
        return result
    ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    reason = next((line for line in reversed(last) if line.strip()), "it printed nothing")
    return Failure(job.cell, f"{reason} ({ended})", "\n".join(last))
