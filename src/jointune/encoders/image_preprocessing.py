"""Load the image preprocessing of a checkpoint: its own image processor is tried on a few images and imitated."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from PIL import Image
from transformers import AutoImageProcessor

from jointune.encoders.weights import Source
from jointune.errors import EncoderError
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.utils.extras import require

Channels = tuple[float, ...]

_COLOUR = (10, 90, 220)
"""A colour that shows the order of channels, and whether values are scaled linearly."""

_TOLERANCE = 4.0
"""The allowed mean difference of a resized test image, of 255 levels; a shift of half a pixel makes about 1."""


def load_image_preprocessor(source: Source, config: Any) -> tuple[ImagePreprocessor, list[str]]:
    """Prepare images as the checkpoint's own image processor does.

    Args:
        source: the origin of the checkpoint.
        config: the configuration of its model.

    Returns:
        The preprocessor, and notes on what it does not follow.

    Raises:
        EncoderError: the processor does something to images that jointune cannot do.
    """
    if config.model_type == "timm_wrapper":
        return timm_preprocessor(source.name, config.architecture, getattr(config, "pretrained_cfg", None))
    processor = AutoImageProcessor.from_pretrained(
        source.path, backend="pil", trust_remote_code=False, **source.options
    )
    return _imitate(processor, source.name, config)


def timm_preprocessor(
    name: str, architecture: str, settings: dict[str, Any] | None = None
) -> tuple[ImagePreprocessor, list[str]]:
    """Prepare images as timm's evaluation does.

    Args:
        name: the encoder's name in messages.
        architecture: timm's name.
        settings: timm's ``pretrained_cfg``; by default that of the architecture.

    Returns:
        The preprocessor, and notes on what it does not follow.
    """
    timm = require("timm", "timm", f"the encoder {name}")
    data = timm.data.resolve_data_config(settings or timm.get_pretrained_cfg(architecture).to_dict())
    height, width = data["input_size"][1:]
    share, mode = data["crop_pct"], data["crop_mode"]
    resize = (math.floor(height / share), math.floor(width / share))
    fit: Literal["crop", "squash"] = "squash" if mode == "squash" else "crop"
    preprocessor = ImagePreprocessor(
        (height, width), resize, fit, _filter(data["interpolation"]), tuple(data["mean"]), tuple(data["std"])
    )
    known = mode in ("center", "squash")
    return preprocessor, [] if known else [f"{name}: crop_mode={mode!r} is not followed; pictures are cropped instead"]


def _imitate(processor: Any, name: str, config: Any) -> tuple[ImagePreprocessor, list[str]]:
    """Find the ``ImagePreprocessor`` that does what ``processor`` does."""
    if isinstance(getattr(processor, "resample", None), str):
        processor.resample = Image.Resampling(_filter(processor.resample))
    mean, std, bgr = _normalisation(processor, name)
    rest: dict[str, Any] = {"resample": _filter(getattr(processor, "resample", None)), "mean": mean, "std": std}
    if bgr:
        rest["bgr"] = True
    wide, high = _test_image(420, 300), _test_image(300, 420)
    processed = _run(processor, wide, name)
    size, settings = processed.shape[1:], _settings(processor)
    if size != _run(processor, high, name).shape[1:]:
        # It keeps the shape of each image, but those of a batch have one.
        edge = _own_size(processor, config, name)
        return ImagePreprocessor(edge, edge, "crop", **rest), [
            f"the image encoder {name!r} prepares pictures in their own shape ({settings}); here all are resized and "
            f"cropped to {edge[0]} x {edge[1]} pixels"
        ]
    levels = (processed * np.array(std)[:, None, None] + np.array(mean)[:, None, None]) * 255
    theirs = np.moveaxis(levels[::-1] if bgr else levels, 0, 2)
    differences = {}
    for resize in _likely_resizes(processor, size):
        for fit in ("crop", "squash"):
            candidate = ImagePreprocessor(size, resize, fit, **rest)  # type: ignore[arg-type]
            ours = candidate.crop(candidate.prepare(wide)).astype(float)
            differences[candidate] = float(np.abs(ours - theirs).mean())
    best = min(differences, key=lambda candidate: differences[candidate])
    if differences[best] <= _TOLERANCE:
        return best, []
    height, width = best.resize
    return best, [
        f"the image encoder {name!r} prepares pictures in a way that jointune does not know ({settings}); here they "
        f"are resized to {height} x {width} and cut to {size[0]} x {size[1]} pixels"
    ]


def _normalisation(processor: Any, name: str) -> tuple[Channels, Channels, bool]:
    """Return mean and deviation of values between 0 and 1, and whether red and blue change places."""

    def run(colour: tuple[int, int, int]) -> np.ndarray:
        values = _run(processor, Image.new("RGB", (64, 64), colour), name).astype(float)
        return values[:, values.shape[1] // 2, values.shape[2] // 2]

    black, white, coloured = run((0, 0, 0)), run((255, 255, 255)), run(_COLOUR)
    with np.errstate(all="ignore"):
        recovered = (coloured - black) / (white - black) * 255
    bgr = not np.allclose(recovered, _COLOUR, atol=1)
    if bgr and not np.allclose(recovered, _COLOUR[::-1], atol=1):
        raise EncoderError(
            f"the image processor of {name!r} changes colours in a way that jointune does not know "
            f"({_settings(processor)}): {_COLOUR} becomes {tuple(map(float, coloured.round(3)))}"
        )
    slope = white - black
    measured = np.stack([-black / slope, 1 / slope])
    stated = [getattr(processor, "image_mean", None), getattr(processor, "image_std", None)]
    if all(isinstance(values, list | tuple) and len(values) == 3 for values in stated):
        exact = np.array(stated, dtype=float)  # free of rounding
        measured = exact if np.allclose(exact, measured, atol=1e-5) else measured
    mean, std = (tuple(map(float, values)) for values in measured)
    return mean, std, bgr


def _likely_resizes(processor: Any, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the sizes that images may be resized to before ``size`` is cut out."""
    yield size
    if (sides := _sides(getattr(processor, "size", None))) is None:
        return
    share = getattr(processor, "crop_pct", None)
    # 256 / 224 is LeViT's own and not among its settings.
    for large, small in ((1, 1), *([(1, share)] if share else []), (256, 224)):
        yield max(int(sides[0] * large / small), size[0]), max(int(sides[1] * large / small), size[1])


def _own_size(processor: Any, config: Any, name: str) -> tuple[int, int]:
    for sides in (
        getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None,
        getattr(config, "image_size", None),
        getattr(processor, "size", None),
    ):
        if size := _sides(sides):
            return size
    raise EncoderError(
        f"the image processor of {name!r} says no size for pictures ({_settings(processor)})",
        'write one into preprocessor_config.json, such as "size": {"height": 224, "width": 224}',
    )


def _sides(size: Any) -> tuple[int, int] | None:
    """Return height and width of a size in any of the forms that transformers knows."""
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple) and len(size) == 2:
        return int(size[0]), int(size[1])
    try:
        values = {key: value for key, value in dict(size or {}).items() if value}
    except (TypeError, ValueError):
        return None
    if "height" in values and "width" in values:
        return values["height"], values["width"]
    edge = values.get("shortest_edge")
    return (edge, edge) if edge else None


def _run(processor: Any, image: Image.Image, name: str) -> np.ndarray:
    """Process an image, to float [3, H, W]."""
    processed = processor(images=image, return_tensors="np")
    values = np.asarray(processed.get("pixel_values", next(iter(processed.values()))))
    while values.ndim > 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 3 or values.shape[0] != 3:
        raise EncoderError(
            f"the image processor of {name!r} makes an array of {' x '.join(map(str, values.shape))} of a picture, not "
            "one picture of three channels as jointune needs"
        )
    return values


def _test_image(width: int, height: int) -> Image.Image:
    """Draw slopes in red and green that show which part is cut out and in which shape, with a wave in blue."""
    down, right = np.mgrid[0:height, 0:width]
    waves = 127.5 + 127.5 * np.sin(right / 30) * np.sin(down / 30)
    return Image.fromarray(np.stack([right * 255 / width, down * 255 / height, waves], 2).round().astype(np.uint8))


def _settings(processor: Any) -> str:
    """Return the settings of a processor that matter here, as text."""
    shown = []
    for name in (
        "do_resize",
        "size",
        "do_center_crop",
        "crop_size",
        "crop_pct",
        "do_pad",
        "size_divisor",
        "do_rescale",
    ):
        value = getattr(processor, name, None)
        if value is not None:
            plain = (
                value if isinstance(value, int | float) else {key: side for key, side in dict(value).items() if side}
            )
            shown.append(f"{name}={plain}")
    return f"{type(processor).__name__}: {', '.join(shown)}"


def _filter(resample: Any) -> int:
    """Return Pillow's filter by number or name; bilinear by default, as in transformers."""
    if resample is None:
        return int(Image.Resampling.BILINEAR)
    if isinstance(resample, str):
        try:
            return int(Image.Resampling[resample.upper()])
        except KeyError:
            known = ", ".join(kind.name.lower() for kind in Image.Resampling)
            raise EncoderError(f"resample={resample!r}: no filter of that name ({known})") from None
    return int(resample)
