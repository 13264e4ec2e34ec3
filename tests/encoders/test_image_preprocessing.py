"""Pictures reach the encoder as the checkpoint's own image processor would hand them over."""

import json

import numpy as np
import pytest
import torch
import transformers as t
from PIL import Image
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from jointune.encoders.loading import build_image_encoder, load_image_encoder
from jointune.errors import EncoderError, JointuneWarning
from jointune.modalities.image.pixels import ImagePreprocessor

SQUARE = {"height": 48, "width": 48}
EDGE = {"shortest_edge": 48}
PROCESSORS = {
    "squashed": ("ViTImageProcessor", {"size": SQUARE}),
    "size as a number": ("ViTImageProcessor", {"size": 48}),
    "filter by name": ("ViTImageProcessor", {"size": SQUARE, "resample": "lanczos"}),
    "cropped": ("CLIPImageProcessor", {"size": EDGE, "crop_size": SQUARE}),
    "margin": ("CLIPImageProcessor", {"size": {"shortest_edge": 60}, "crop_size": 48}),
    "squashed, then cropped": ("DeiTImageProcessor", {"size": {"height": 60, "width": 60}, "crop_size": SQUARE}),
    "not square": ("SiglipImageProcessor", {"size": {"height": 40, "width": 64}}),
    "share of the middle": ("ConvNextImageProcessor", {"size": {"shortest_edge": 56}, "crop_pct": 0.875}),
    "large, so squashed": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    "edge and share": ("PoolFormerImageProcessor", {"size": EDGE, "crop_size": SQUARE, "crop_pct": 0.9}),
    "LeViT's own": ("LevitImageProcessor", {"size": EDGE, "crop_size": SQUARE}),
    "blue first": ("MobileViTImageProcessor", {"size": {"shortest_edge": 54}, "crop_size": SQUARE}),
    "red first": (
        "MobileViTImageProcessor",
        {"size": {"shortest_edge": 54}, "crop_size": SQUARE, "do_flip_channel_order": False},
    ),
    "normalised twice": ("EfficientNetImageProcessor", {"size": SQUARE, "include_top": True}),
    "around zero": (
        "EfficientNetImageProcessor",
        {"size": SQUARE, "include_top": False, "rescale_factor": 1 / 127.5, "rescale_offset": True},
    ),
    "levels": ("ViTImageProcessor", {"size": SQUARE, "do_rescale": False, "do_normalize": False}),
    "not normalised": ("ViTImageProcessor", {"size": SQUARE, "do_normalize": False}),
    "other numbers": ("ViTImageProcessor", {"size": SQUARE, "rescale_factor": 1 / 128, "image_mean": [0.1, 0.2, 0.3]}),
}


@pytest.fixture(scope="module")
def convolutional(tmp_path_factory):
    """Folder of a network that takes pictures of any size."""
    folder = tmp_path_factory.mktemp("any-size")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.ResNetModel(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])).save_pretrained(folder)
    return folder


def with_processor(folder, kind, settings):
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": kind} | settings))
    return str(folder)


def picture(width=90, height=66):
    down, right = np.mgrid[0:height, 0:width]
    channels = [right * 255 / width, down * 255 / height, 255 - right * 200 / width]
    return Image.fromarray(np.stack(channels, 2).astype(np.uint8))


def seen_by_model(encoder, preprocessor, image):
    """What the model is given of a picture, float [3, H, W]."""
    seen = []
    hook = encoder.model.register_forward_pre_hook(
        lambda _, __, named: seen.append(named["pixel_values"]), with_kwargs=True
    )
    with torch.no_grad():
        encoder({"pixels": torch.from_numpy(preprocessor.crop(preprocessor.prepare(image))[None].copy())})
    hook.remove()
    return seen[0][0].numpy()


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.filterwarnings("error::jointune.errors.JointuneWarning")
def test_pixels_are_those_of_the_processor(name, convolutional):
    kind, settings = PROCESSORS[name]
    folder = with_processor(convolutional, kind, settings)
    encoder, preprocessor, description = load_image_encoder(folder)
    encoder.eval()
    own = AutoImageProcessor.from_pretrained(folder, backend="pil")
    if isinstance(own.resample, str):
        own.resample = Image.Resampling[own.resample.upper()]
    for image in (picture(), picture(66, 90)):
        theirs = own(image, return_tensors="np")["pixel_values"][0]
        ours = seen_by_model(encoder, preprocessor, image)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() < 0.02 * (theirs.max() - theirs.min())

    # A bundle keeps it.
    kept = ImagePreprocessor.from_config(json.loads(json.dumps(preprocessor.config())))
    rebuilt = build_image_encoder(description, kept).eval()
    assert kept == preprocessor
    np.testing.assert_allclose(seen_by_model(rebuilt, kept, picture()), seen_by_model(encoder, kept, picture()))


def test_stated_numbers_are_kept_as_they_are(convolutional):
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    folder = with_processor(
        convolutional, "ViTImageProcessor", {"size": SQUARE, "image_mean": mean, "image_std": std, "resample": 3}
    )
    assert load_image_encoder(folder)[1] == ImagePreprocessor((48, 48), (48, 48), "squash", 3, tuple(mean), tuple(std))


def test_a_filter_may_be_named(convolutional):
    for named, number in (("lanczos", Image.Resampling.LANCZOS), ("NEAREST", Image.Resampling.NEAREST)):
        folder = with_processor(convolutional, "ViTImageProcessor", {"size": SQUARE, "resample": named})
        assert load_image_encoder(folder)[1].resample == number


def test_channels_change_places():
    encoder_of = {bgr: ImagePreprocessor((8, 8), (8, 8), bgr=bgr) for bgr in (False, True)}
    red = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    red[..., 0] = 255

    class Echo(torch.nn.Module):
        def forward(self, pixel_values):
            return pixel_values

    from jointune.encoders.image_encoder import ImageEncoder

    channels = {
        bgr: ImageEncoder(Echo(), preprocessor, 3)(torch.from_numpy(red)).pooled[0].tolist()
        for bgr, preprocessor in encoder_of.items()
    }
    assert channels == {False: [1.0, -1.0, -1.0], True: [-1.0, -1.0, 1.0]}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViltImageProcessor", {"size": EDGE, "size_divisor": 16}),
        ("ViTImageProcessor", {"size": SQUARE, "do_resize": False}),
        ("CLIPImageProcessor", {"size": EDGE, "do_center_crop": False}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": SQUARE}),
    ],
    ids=["sides that can be divided", "not resized", "not cropped", "black edges"],
)
def test_what_is_not_followed_is_said(kind, settings, convolutional):
    folder = with_processor(convolutional, kind, settings)
    with pytest.warns(JointuneWarning, match="pictures"):
        _, preprocessor, description = load_image_encoder(folder)
    assert preprocessor.size == (48, 48)
    assert len(description["notes"]) == 1


def test_what_makes_no_picture_is_refused(convolutional):
    clusters = [[level / 8 - 1] * 3 for level in range(16)]
    for kind, settings, reason in (
        ("ImageGPTImageProcessor", {"size": SQUARE, "clusters": clusters}, "image processor"),
        ("ViTImageProcessor", {"size": SQUARE, "resample": "sharpest"}, "sharpest"),
        ("Siglip2ImageProcessor", {"patch_size": 8, "max_num_patches": 16}, "image processor"),
    ):
        with pytest.raises(EncoderError, match=reason):
            load_image_encoder(with_processor(convolutional, kind, settings))
