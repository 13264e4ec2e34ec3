"""jointune ui: what it says before it shows a page."""

import subprocess
import sys


def test_a_missing_extra_names_its_command(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    refused("ui", tmp_path, says=["jointune ui needs the package gradio", "pip install -c constraints.txt '.[ui]'"])


def test_gradio_is_imported_by_nothing_else():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, jointune.cli.app, jointune.inference.predictor, jointune.serve.server; print(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "gradio" not in done.stdout.split()
