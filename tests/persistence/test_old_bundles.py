"""Bundles that older versions wrote."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from jointune import BundleError, JointClassifier
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.model import make_model
from jointune.persistence.bundle import Bundle, load_bundle, save_bundle
from jointune.targets.single_label import SingleLabel
from jointune.utils.files import sha256

OLD = Path(__file__).parent / "old_bundle"
"""A bundle of format 2, from the last version that wrote it; trained on made-up posts, with random tiny encoders."""

POSTS = [{"text": "so", "image": "teal"}, {"text": "not good"}, {"image": "grey"}]
PROBABILITIES = [
    [0.6318414807319641, 0.3681585192680359],
    [0.1748543679714203, 0.8251456618309021],
    [0.18748155236244202, 0.8125184178352356],
]
"""What that version predicted for the posts."""


def draw(colour: str) -> Image.Image:
    picture = Image.new("RGB", (40, 36), colour)
    ImageDraw.Draw(picture).rectangle((5, 5, 18, 14), fill="white")
    return picture


def test_a_bundle_of_format_2_predicts_what_it_did(tmp_path):
    posts = [post | ({"image": draw(post["image"])} if "image" in post else {}) for post in POSTS]
    loaded = JointClassifier.load(OLD, device="cpu")
    np.testing.assert_allclose(loaded.predict_proba(posts), PROBABILITIES, atol=1e-5)
    loaded.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["format"] == 3
    again = JointClassifier.load(tmp_path / "saved", device="cpu")
    np.testing.assert_array_equal(again.predict_proba(posts), loaded.predict_proba(posts))


OLD_NAMES = {
    "gated": {"norms.{}": "{}_norm", "projections.{}": "{}"},
    "concat": {"projections.{}": "{}"},
    "paper": {"projections.{}": "{}"},
    "cross-attention": {"norms.{}": "{}_norm", "projections.{}": "{}", "attention.{}": "{}_to_{}"},
    "mual": {
        "attention.norms.{}": "attention.{}_norm",
        "attention.projections.{}": "attention.{}",
        "attention.attention.{}": "attention.{}_to_{}",
    },
    "splitting": {"projections.{}": "{}", "private.{}": "private_{}"},
    "dual": {},
    "single-stream": {},
}
"""By fusion, the parts that have another name since format 3; the braces stand for the modalities."""


def old_name(name: str, fusion: str) -> str:
    """Return the name of a weight in format 2."""
    for modality, other in (("text", "image"), ("image", "text")):
        name = name.replace(f"encoders.{modality}.", f"{modality}_encoder.", 1)
        name = name.replace(f"missing.{modality}", f"missing_{modality}")
        for new, old in OLD_NAMES[fusion].items():
            prefix = f"fusion.{new.format(modality)}."
            if name.startswith(prefix):
                return f"fusion.{old.format(modality, other)}.{name.removeprefix(prefix)}"
    return name


def rewrite(folder: Path, config: dict[str, object]) -> None:
    """Replace ``config.json``, and make the manifest fit what the files now are."""
    (folder / "config.json").write_text(json.dumps(config))
    names = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({name: sha256(folder / name) for name in names}))


@pytest.mark.parametrize("fusion", OLD_NAMES)
def test_weights_are_found_under_their_old_names(fusion, tiny_text, tiny_image, tmp_path):
    text, image = load_text_encoder(tiny_text), load_image_encoder(tiny_image)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = make_model({"text": text[0], "image": image[0]}, fusion, 2, probe=True)
        for weight in model.parameters():
            torch.nn.init.uniform_(weight)
    preprocessors, descriptions = {"text": text[1], "image": image[1]}, {"text": text[2], "image": image[2]}
    settings = {"probe": True}
    save_bundle(
        Bundle(model, preprocessors, SingleLabel(["a", "b"]), descriptions, fusion, settings), tmp_path / "bundle"
    )

    weights = load_file(tmp_path / "bundle" / "model.safetensors")
    old = {old_name(name, fusion): weight for name, weight in weights.items()}
    assert len(old.keys() - weights.keys()) > 2
    save_file(old, tmp_path / "bundle" / "model.safetensors")
    rewrite(tmp_path / "bundle", json.loads((tmp_path / "bundle" / "config.json").read_text()) | {"format": 2})
    loaded = load_bundle(tmp_path / "bundle").model.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert [name for name, weight in model.state_dict().items() if not torch.equal(weight, loaded[name])] == []


def test_a_setting_that_this_version_does_not_know_is_named(tiny_bundle, tmp_path):
    """As in a bundle of a newer version of the same format; it could change what the model means."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    config = json.loads((folder / "config.json").read_text())
    config["settings"]["time_travel"] = True
    rewrite(folder, config)
    with pytest.raises(BundleError, match=r"settings that jointune \S+ does not know: time_travel.*another version"):
        JointClassifier.load(folder)
