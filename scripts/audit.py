"""Look for published holes in the versions of constraints.txt, with pip-audit, where an advisory database is at hand.

python scripts/audit.py
"""

import json
import subprocess
import sys
import venv
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "audit"
KNOWN = "https://pypi.org/pypi/pillow/10.0.0/json"
"""A release with published holes: what lists none of them has no advisories."""


def at_hand() -> bool:
    """Tell whether the package registry can be asked for advisories."""
    try:
        with urlopen(KNOWN, timeout=5) as answer:
            return bool(json.load(answer).get("vulnerabilities"))
    except (URLError, TimeoutError, ValueError):
        return False


def main() -> None:
    """Audit; the exit status is 1 where a pinned version has a published hole."""
    if not at_hand():
        print("audit: skipped, because no advisory database can be reached from here")
        return
    if not (FOLDER / "bin" / "pip-audit").exists():
        venv.create(FOLDER, with_pip=True)
        install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "pip-audit"]
        subprocess.run([FOLDER / "bin" / "python", *install], check=True)
    command = [FOLDER / "bin" / "pip-audit", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    sys.exit(subprocess.run([*command, "-r", ROOT / "constraints.txt"], check=False).returncode)


if __name__ == "__main__":
    main()
