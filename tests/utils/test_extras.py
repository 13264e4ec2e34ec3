"""What is not installed, or broken, is named with the remedy, and breaks nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jointune.errors import MissingExtraError
from jointune.utils.extras import install_command, require

ROOT = Path(__file__).parents[2]

TRY_EVERYTHING = """
import sys, warnings
if sys.argv[1]: import transformers
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from jointune.encoders.loading import load_image_encoder, load_text_encoder
    load_text_encoder(sys.argv[2]), load_image_encoder(sys.argv[3])
print(*(warning.message for warning in caught if warning.category.__name__ == "JointuneWarning"), sep="|")
try:
    load_image_encoder("timm:anything")
except Exception as error:
    print(type(error).__name__, error)
print("torchvision" in sys.modules)
"""


@pytest.mark.parametrize("before", ["", "transformers"])
def test_a_broken_torchvision_breaks_only_what_needs_it(before, tiny_text, tiny_image, tmp_path):
    for package in ("torchvision", "timm"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("import torchvision.extension\n")
    (tmp_path / "torchvision" / "extension.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", TRY_EVERYTHING, before, tiny_text, tiny_image]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    noted, timm, left = ran.stdout.splitlines()
    for said in (noted, timm):
        assert "cannot be imported beside torch" in said
        assert "(RuntimeError: operator torchvision::nms does not exist)" in said
        assert "pip uninstall torchvision, or" in said
    assert noted.count("|") == 0
    assert timm.startswith("MissingExtraError the encoder timm:anything needs torchvision: ")
    assert left == "False"  # whoever imports it next gets its own error


def test_a_missing_package_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    with pytest.raises(
        MissingExtraError, match="scoring needs the package no_such_package; from a clone of jointune: "
    ):
        require("no_such_package", "serve", "scoring")
    (tmp_path / "half_installed.py").write_text("import what_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"scoring needs the package what_it_needs; .*'\.\[serve\]'"):
        require("half_installed", "serve", "scoring")
    assert install_command("train,ui") == "from a clone of jointune: pip install -c constraints.txt '.[train,ui]'"


def test_nobody_is_told_to_fetch_jointune_from_a_registry():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    files = [*pages, *(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").iterdir()]
    told = ("install jointune", "install 'jointune", 'install "jointune', "upgrade jointune")
    assert [file for file in files if any(words in file.read_text(encoding="utf-8") for words in told)] == []
