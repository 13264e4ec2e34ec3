"""How a checkpoint's own image processor prepares pictures, found by trying it on a few."""

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
"""Tells the order of channels, and whether values are scaled linearly."""

_TOLERANCE = 4.0
"""By how many of 255 levels a resized test picture may differ on average; half a pixel's shift makes about one."""


def load_image_preprocessor(source: Source, config: Any) -> tuple[ImagePreprocessor, list[str]]:
    """Prepare pictures as the checkpoint's own configuration says.

    Args:
        source: where the checkpoint is.
        config: of its model.

    Returns:
        The preprocessor, and what of the configuration it does not follow.

    Raises:
        EncoderError: the configuration does something to pictures that jointune cannot do.
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
    """Prepare pictures as timm's evaluation does.

    Args:
        name: what messages call the encoder.
        architecture: timm's name.
        settings: timm's ``pretrained_cfg``, where the checkpoint has one; otherwise that of the architecture.

    Returns:
        The preprocessor, and what of the settings it does not follow.
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
    """The ``ImagePreprocessor`` that does what ``processor`` does."""
    if isinstance(getattr(processor, "resample", None), str):
        processor.resample = Image.Resampling(_filter(processor.resample))
    mean, std, bgr = _normalisation(processor, name)
    rest: dict[str, Any] = {"resample": _filter(getattr(processor, "resample", None)), "mean": mean, "std": std}
    if bgr:
        rest["bgr"] = True
    wide, high = (_picture(*sides) for sides in ((420, 300), (300, 420)))
    theirs = _levels(_run(processor, wide, name), mean, std, bgr)
    size = theirs.shape[:2]
    settings = _settings(processor)
    if size != _run(processor, high, name).shape[1:]:
        # It keeps the shape of each picture, but those of a batch have one.
        edge = _own_size(processor, config, name)
        return ImagePreprocessor(edge, edge, "crop", **rest), [
            f"the image encoder {name!r} prepares pictures in their own shape ({settings}); here all are resized and "
            f"cropped to {edge[0]} x {edge[1]} pixels"
        ]
    differences = {}
    for resize in _resized_to(processor, size):
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
    """Mean and deviation of what values between 0 and 1 become, and whether red and blue change places."""
    black, white, coloured = (_run_plain(processor, level, name) for level in ((0, 0, 0), (255, 255, 255), _COLOUR))
    with np.errstate(all="ignore"):
        seen = (coloured - black) / (white - black) * 255
    if np.allclose(seen, _COLOUR, atol=1):
        bgr = False
    elif np.allclose(seen, _COLOUR[::-1], atol=1):
        bgr = True
    else:
        raise EncoderError(
            f"the image processor of {name!r} changes colours in a way that jointune does not know "
            f"({_settings(processor)}): {_COLOUR} becomes {tuple(map(float, coloured.round(3)))}"
        )
    slope = white - black
    found = np.stack([-black / slope, 1 / slope])
    stated = [getattr(processor, "image_mean", None), getattr(processor, "image_std", None)]
    if all(isinstance(values, list | tuple) and len(values) == 3 for values in stated):
        exact = np.array(stated, dtype=float)  # without what rounding has done to them
        found = exact if np.allclose(exact, found, atol=1e-5) else found
    mean, std = (tuple(map(float, values)) for values in found)
    return mean, std, bgr


def _resized_to(processor: Any, size: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """What pictures may be resized to before ``size`` is cut out."""
    yield size
    given = _sides(getattr(processor, "size", None))
    share = getattr(processor, "crop_pct", None)
    for height, width in [given] if given else []:
        yield max(height, size[0]), max(width, size[1])
        if share:
            yield max(int(height / share), size[0]), max(int(width / share), size[1])
        # LeViT's own, not among its settings.
        yield max(int(height * 256 / 224), size[0]), max(int(width * 256 / 224), size[1])


def _own_size(processor: Any, config: Any, name: str) -> tuple[int, int]:
    for sides in (
        getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None,
        getattr(config, "image_size", None),
        getattr(processor, "size", None),
    ):
        if found := _sides(sides):
            return found
    raise EncoderError(
        f"the image processor of {name!r} says no size for pictures ({_settings(processor)}): write one into "
        'preprocessor_config.json, such as "size": {"height": 224, "width": 224}'
    )


def _sides(size: Any) -> tuple[int, int] | None:
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


def _run(processor: Any, picture: Image.Image, name: str) -> np.ndarray:
    """What the processor makes of a picture, float [3, H, W]."""
    made = processor(images=picture, return_tensors="np")
    values = np.asarray(made.get("pixel_values", next(iter(made.values()))))
    while values.ndim > 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 3 or values.shape[0] != 3:
        raise EncoderError(
            f"the image processor of {name!r} makes an array of {' x '.join(map(str, values.shape))} of a picture, not "
            "one picture of three channels as jointune needs"
        )
    return values


def _run_plain(processor: Any, colour: tuple[int, int, int], name: str) -> np.ndarray:
    """What the processor makes of the middle of a picture of one colour, float [3]."""
    values = _run(processor, Image.new("RGB", (64, 64), colour), name).astype(float)
    return values[:, values.shape[1] // 2, values.shape[2] // 2]


def _levels(values: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], bgr: bool) -> np.ndarray:
    """Back from what a processor gave to levels of red, green and blue, float [H, W, 3]."""
    levels = (values * np.array(std)[:, None, None] + np.array(mean)[:, None, None]) * 255
    return np.moveaxis(levels[::-1] if bgr else levels, 0, 2)


def _picture(width: int, height: int) -> Image.Image:
    """Slopes in red and green that tell which part is seen and in which shape, with a wave in blue."""
    down, right = np.mgrid[0:height, 0:width]
    waves = 127.5 + 127.5 * np.sin(right / 30) * np.sin(down / 30)
    return Image.fromarray(np.stack([right * 255 / width, down * 255 / height, waves], 2).round().astype(np.uint8))


def _settings(processor: Any) -> str:
    """What of a processor's settings decides here, as text."""
    names = ("do_resize", "size", "do_center_crop", "crop_size", "crop_pct", "do_pad", "size_divisor", "do_rescale")
    found = {name: getattr(processor, name, None) for name in names}
    plain = {name: _plain(value) for name, value in found.items() if value is not None}
    shown = ", ".join(f"{name}={value}" for name, value in plain.items())
    return f"{type(processor).__name__}: {shown}"


def _plain(value: Any) -> Any:
    """A size without the names that are not used."""
    return value if isinstance(value, int | float) else {key: number for key, number in dict(value).items() if number}


def _filter(resample: Any) -> int:
    """Pillow's filter of a number or a name; bilinear where there is none, as in transformers."""
    if resample is None:
        return int(Image.Resampling.BILINEAR)
    if isinstance(resample, str):
        try:
            return int(Image.Resampling[resample.upper()])
        except KeyError:
            known = ", ".join(kind.name.lower() for kind in Image.Resampling)
            raise EncoderError(f"resample={resample!r}: no filter of that name ({known})") from None
    return int(resample)
