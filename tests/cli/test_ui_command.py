"""jointune ui: what it says before it shows a page."""

import sys


def test_a_missing_extra_names_its_command(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    refused("ui", tmp_path, says=["jointune ui needs the package gradio", "pip install -c constraints.txt '.[ui]'"])
