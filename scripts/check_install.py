"""See that every extra installs with the constraints, and that the wheel works where nothing else of jointune is.

    python scripts/check_install.py

Builds the wheel, installs it into an empty environment, checks the demo posts with what the core brings, then adds the
extra ``train`` and runs ``jointune demo`` from a folder outside the clone. Needs a package registry.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
QUIET = ("-qq", "--disable-pip-version-check")


def main() -> None:
    """Run all of it; the exit status is 1 with the first thing that fails."""
    with tempfile.TemporaryDirectory(prefix="jointune-install-") as name:
        folder = Path(name)
        say("Every extra can be resolved with the constraints")
        resolve(sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]))
        say("The wheel alone")
        run(sys.executable, "-m", "pip", "wheel", *QUIET, "--no-deps", "--wheel-dir", name, str(ROOT))
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        install = (str(bin_ / "python"), "-m", "pip", "install", *QUIET, "-c", str(CONSTRAINTS))
        jointune = str(bin_ / "jointune")
        run(*install, str(wheel))
        where = "from jointune.demo import POSTS; print(POSTS)"
        posts = subprocess.run([bin_ / "python", "-c", where], cwd=name, check=True, capture_output=True, text=True)
        run(jointune, "check", posts.stdout.strip(), "--split-column", "split", cwd=name)
        say("With the extra train")
        run(*install, f"{wheel}[train]")
        run(jointune, "demo", "--quiet", cwd=name)


def resolve(extras: list[str]) -> None:
    """Resolve all extras together, and where that fails each by itself, which names the one."""
    dry = (sys.executable, "-m", "pip", "install", *QUIET, "--dry-run", "--ignore-installed", "-c", str(CONSTRAINTS))
    if subprocess.run([*dry, f"{ROOT}[{','.join(extras)}]"], check=False, stderr=subprocess.DEVNULL).returncode:
        for extra in extras:
            run(*dry, f"{ROOT}[{extra}]")
        sys.exit("each extra can be installed, but not all of them together")


def say(what: str) -> None:
    """Print what comes next."""
    print(f"\n== {what}", flush=True)


def run(*command: str, cwd: str | None = None) -> None:
    """Run a command, or end with what it was."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run(command, cwd=cwd, env=environment, check=False).returncode:
        sys.exit(f"failed: {' '.join(command)}")


if __name__ == "__main__":
    main()
