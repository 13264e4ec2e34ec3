"""Encoders of timm, by name, from a folder that transformers saved, and from one as timm publishes them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from jointune.encoders.hidden_states import spread_layers
from jointune.encoders.loading import build_image_encoder, load_image_encoder
from jointune.errors import EncoderError, MissingExtraError


def imports_timm() -> bool:
    try:
        import timm  # noqa: F401
    except (ImportError, RuntimeError):  # without torchvision the former, with one that does not fit the latter
        return False
    return True


needs_timm = pytest.mark.skipif(not imports_timm(), reason="timm does not import here")


@pytest.fixture
def untrained(monkeypatch):
    """Has timm give random weights in place of downloaded ones."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **settings: create(name, **settings | {"pretrained": False}))


@pytest.mark.skipif(imports_timm(), reason="timm is installed here")
def test_timm_is_an_extra_that_names_what_is_missing():
    with pytest.raises((MissingExtraError, EncoderError), match=r"timm|torchvision"):
        load_image_encoder("timm:resnet18")


@needs_timm
@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv3_small_100",
        "mobilenetv4_conv_small",
        "levit_128s",
        pytest.param("vit_tiny_patch16_224", marks=pytest.mark.slow),
        pytest.param("swin_tiny_patch4_window7_224", marks=pytest.mark.slow),
    ],
)
def test_architectures_train_and_are_built_again(name):
    encoder, preprocessor, description = load_image_encoder(f"timm:{name}")
    rebuilt = build_image_encoder(json.loads(json.dumps(description)), preprocessor).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    pixels = torch.zeros(2, *preprocessor.size, 3, dtype=torch.uint8)
    with torch.no_grad():
        found = encoder.eval()(pixels)
        torch.testing.assert_close(rebuilt(pixels).pooled, found.pooled, atol=1e-4, rtol=1e-4)
    assert found.pooled.shape == (2, encoder.dim)
    assert found.tokens.shape[::2] == (2, encoder.dim)
    encoder.freeze_lower(0.5)
    encoder.use_hidden_layers(spread_layers(encoder.model, 2))
    encoder({"pixels": pixels}).summary.sum().backward()


@needs_timm
@pytest.mark.parametrize("published", [False, True], ids=["by transformers", "by timm"])
@pytest.mark.parametrize("prefix", ["", "timm:"])
def test_folders(published, prefix, tmp_path):
    import timm
    from transformers import TimmWrapperConfig, TimmWrapperModel

    settings = {"input_size": [3, 64, 64], "crop_pct": 0.9, "interpolation": "bicubic", "crop_mode": "center"} | {
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.3, 0.1],
    }
    if published:
        model = timm.create_model("resnet10t", num_classes=5)
        save_file(model.state_dict(), tmp_path / "model.safetensors", {"format": "pt"})
        config = {"architecture": "resnet10t", "num_classes": 5, "num_features": 512, "pretrained_cfg": settings}
        (tmp_path / "config.json").write_text(json.dumps(config))
    else:
        model = TimmWrapperModel(TimmWrapperConfig(architecture="resnet10t", pretrained_cfg=settings))
        model.save_pretrained(tmp_path)
        model = model.timm_model
    encoder, preprocessor, _ = load_image_encoder(f"{prefix}{tmp_path}")
    assert (preprocessor.size, preprocessor.resize, preprocessor.fit) == ((64, 64), (71, 71), "crop")

    picture = Image.fromarray(np.linspace(0, 255, 100 * 80 * 3).reshape(80, 100, 3).astype(np.uint8))
    transform = timm.data.create_transform(**timm.data.resolve_data_config(settings), is_training=False)
    theirs = transform(picture)[None]
    ours = torch.from_numpy(preprocessor.crop(preprocessor.prepare(picture))[None].copy())
    normalised = (ours.permute(0, 3, 1, 2) - encoder.mean) / encoder.std
    assert (normalised - theirs).abs().mean() < 0.05
    with torch.no_grad():
        torch.testing.assert_close(
            encoder.eval()(ours).tokens,
            model.eval().forward_features(normalised).flatten(2).transpose(1, 2),
            atol=1e-4,
            rtol=1e-4,
        )


@needs_timm
def test_an_architecture_that_is_not_there_is_named():
    with pytest.raises(EncoderError, match="nothing_like_it"):
        load_image_encoder("timm:nothing_like_it")
