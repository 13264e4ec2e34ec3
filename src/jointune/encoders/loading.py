"""Load any checkpoint that transformers knows, and rebuild an encoder from a bundle.

Only this module, ``weights``, ``text_preprocessing`` and ``image_preprocessing`` load with transformers.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModel

from jointune.encoders import packaged
from jointune.encoders.checks import check_image, check_text
from jointune.encoders.depthwise import speed_up_depthwise
from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from jointune.encoders.encoder_output import last_states
from jointune.encoders.foreign_config import forbidden
from jointune.encoders.image_encoder import ImageEncoder, width_of
from jointune.encoders.image_preprocessing import load_image_preprocessor, timm_preprocessor
from jointune.encoders.text_encoder import POOLINGS, TextEncoder
from jointune.encoders.text_preprocessing import SentenceSettings, load_text_preprocessor, sentence_settings
from jointune.encoders.weights import Source, build_tower, describe, load_tower, quiet, read_json
from jointune.errors import EncoderError, JointuneWarning, foreign_errors
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.utils.extras import require
from jointune.utils.hub import is_cached, why_unreachable


class Projections(NamedTuple):
    """The maps from pooled vectors into the space in which a dual encoder compares texts and images.

    Attributes:
        text: for the text tower's pooled vectors, float [D, text dim]; the identity if it needs none (SigLIP).
        image: for the image tower's, float [D, image dim].
        scale: what cosines are multiplied by to give logits. A bias, as SigLIP adds, is the same for all labels.
    """

    text: Tensor
    image: Tensor
    scale: float


def load_text_encoder(name: str, max_tokens: int | None = None) -> tuple[TextEncoder, TextPreprocessor, dict[str, Any]]:
    """Load a text encoder with its tokenizer, and try it on a small input.

    Pooling, prompt, length and case follow a sentence-transformers folder.

    Args:
        name: a built-in name, a local folder, or a Hugging Face id.
        max_tokens: the length that texts are cut to; by default 128, or what the encoder allows if that is less.

    Returns:
        The encoder, the preprocessor, and the description from which ``build_text_encoder`` rebuilds it. Its ``notes``
        list what of the checkpoint is not followed; each is a ``JointuneWarning`` too.

    Raises:
        EncoderError: it cannot be located, verified or loaded, a part of it would stay random, or its states cannot be
            trusted.
        SettingsError: ``max_tokens`` is more than the encoder allows.
    """
    source = source_of(name, packaged.TEXT)
    with loading_errors(name, "text"):
        settings = SentenceSettings() if name in packaged.TEXT else sentence_settings(source)
        if settings.folder:
            source = replace(source, options=source.options | {"subfolder": settings.folder})
        model, notes = load_tower(source, "text", ignore="pooler.")
        preprocessor = load_text_preprocessor(source, settings, model, max_tokens)
    notes += settings.notes
    pooling = "own" if hasattr(model, "whole_config") and _pools(model) else settings.pooling or "mean"
    with running_errors(name, "text"):
        encoder = TextEncoder(model, preprocessor.inputs, _text_dim(model, preprocessor), pooling)
        if name not in packaged.TEXT and not check_text(encoder, preprocessor, name):
            # FNet mixes padding in as it does words, and was trained on texts of one length.
            preprocessor, was_fixed = replace(preprocessor, fixed_length=True), preprocessor.fixed_length
            if was_fixed or not check_text(encoder, preprocessor, name):
                raise EncoderError(f"the text encoder {name!r} gives a text other states when others are in its batch")
            notes.append(
                f"the text encoder {name!r} looks at padding as at words: every text is padded to "
                f"{preprocessor.max_tokens} tokens, which takes as long as texts of that length"
            )
    description = {
        "name": name,
        "licence": source.licence,
        "config": describe(model, name),
        "dim": encoder.dim,
        "pooling": pooling,
    }
    return encoder, preprocessor, description | noted(notes)


def load_image_encoder(name: str) -> tuple[ImageEncoder, ImagePreprocessor, dict[str, Any]]:
    """Load an image encoder with its preprocessing, and try it on a small input; see ``load_text_encoder``.

    Args:
        name: a built-in name, a local folder, a Hugging Face id, or ``timm:NAME``.

    Raises:
        EncoderError: as for a text encoder.
        MissingExtraError: it is one of timm's, and timm is not installed.
    """
    notes: list[str] = []
    if name in packaged.IMAGE:
        model, preprocessor = _lite(packaged.IMAGE[name])
        licence = packaged.IMAGE[name].licence
    elif name.startswith("timm:") and not Path(name.removeprefix("timm:")).expanduser().is_dir():
        model, preprocessor, licence, notes = _timm(name.removeprefix("timm:"))
    else:
        source = source_of(name.removeprefix("timm:"), {})
        licence = source.licence
        with loading_errors(name, "image"):
            if "architecture" in read_json(source, "config.json"):  # as timm's own files have it, and no other
                require("timm", "timm", f"the encoder {name}")
            model, notes = load_tower(source, "vision")
            preprocessor, more = load_image_preprocessor(source, model.config)
            notes += more
    with running_errors(name, "image"):
        encoder = _image_encoder(model, preprocessor)
        if name not in packaged.IMAGE:
            check_image(encoder, preprocessor, name)
    description = {"name": name, "licence": licence, "config": describe(model, name), "dim": encoder.dim}
    return encoder, preprocessor, description | noted(notes)


def load_projections(name: str) -> Projections:
    """Load the projections of CLIP or SigLIP, from a local folder or a Hugging Face id.

    Raises:
        EncoderError: it cannot be located or loaded, or is not a dual encoder of these families.
    """
    source = source_of(name, {})
    with loading_errors(name, "dual"):
        model, _ = load_tower(source, "whole")
    if not (hasattr(model, "text_model") and hasattr(model, "vision_model") and _pools(model)):
        raise EncoderError(
            f"{name!r} holds a {type(model).__name__}: a dual encoder is needed",
            "choose CLIP or SigLIP, with both towers",
        )
    scale = float(model.logit_scale.detach().exp())
    if hasattr(model, "text_projection"):
        return Projections(model.text_projection.weight.detach(), model.visual_projection.weight.detach(), scale)
    same = torch.eye(model.config.vision_config.hidden_size)
    return Projections(same, same.clone(), scale)


def build_text_encoder(description: dict[str, Any], preprocessor: TextPreprocessor) -> TextEncoder:
    """Rebuild the encoder that ``load_text_encoder`` described, with random weights."""
    model = build_tower(description["config"], "text")
    own = hasattr(model, "whole_config") and _pools(model)
    pooling = description.get("pooling") or ("own" if own else "mean")
    if pooling not in ("own", *POOLINGS):
        raise EncoderError(
            f"{description['name']!r}: pooling={pooling!r} is not known", f"choose one of {', '.join(POOLINGS)}"
        )
    return TextEncoder(model, preprocessor.inputs, description.get("dim") or model.config.hidden_size, pooling)


def build_image_encoder(description: dict[str, Any], preprocessor: ImagePreprocessor) -> ImageEncoder:
    """Rebuild the encoder that ``load_image_encoder`` described, with random weights."""
    return _image_encoder(build_tower(description["config"], "vision"), preprocessor, description.get("dim"))


def source_of(name: str, built_in: Mapping[str, packaged.BuiltIn]) -> Source:
    """Return the origin of an encoder: one built in, a folder, or a Hugging Face id.

    Args:
        name: what the user called it.
        built_in: encoders of this modality.

    Raises:
        EncoderError: there is none.
    """
    if name in built_in:
        return Source(name, str(built_in[name].locate() / built_in[name].inside), built_in[name].licence)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Source(name, str(folder), _stated_licence(folder))
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        # A path, not an id: the hub need not be asked.
        raise EncoderError(f"{name}: no such folder with an encoder in it")
    known = sorted([*packaged.TEXT, *packaged.IMAGE])
    if name in known:
        raise EncoderError(f"{name} is not an encoder of this modality", f"built in: {', '.join(known)}")
    options = {}
    if reason := why_unreachable(name):
        if not is_cached(name, "config.json", "modules.json"):
            raise EncoderError(
                f"{name}: no such folder, not built in ({', '.join(known)}), and not to be had from the Hugging Face "
                f"hub: {reason}"
            )
        options = {"local_files_only": True}
    return Source(name, name, "see its page on the Hugging Face hub", options)


def _stated_licence(folder: Path) -> str:
    card = folder / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:50]:
            if line.startswith("license:"):
                return line.removeprefix("license:").strip()
    return "not stated in its folder"


@contextmanager
def loading_errors(name: str, modality: str) -> Iterator[None]:
    """Turn whatever transformers raises into one clear error, and silence its bars and reports; see ``quiet``."""
    with (
        foreign_errors(
            f"the {modality} encoder {name!r} cannot be loaded",
            "give a built-in name, a folder with config.json and weights, or a Hugging Face id",
        ),
        quiet(),
    ):
        yield


@contextmanager
def running_errors(name: str, modality: str) -> Iterator[None]:
    """Turn whatever a first run raises into one clear error."""
    with foreign_errors(f"the {modality} encoder {name!r} cannot be run on a small input"), quiet():
        yield


def noted(notes: list[str]) -> dict[str, list[str]]:
    """Give notes on a checkpoint as warnings, and return them for its description."""
    for note in notes:
        warnings.warn(note, JointuneWarning, stacklevel=3)
    return {"notes": notes}


def _pools(model: Any) -> bool:
    return model.config.model_type.split("_")[0] in ("clip", "siglip", "siglip2")


def _text_dim(model: Any, preprocessor: TextPreprocessor) -> int:
    """Return the width of the states by running the model: configurations name it differently, some wrongly."""
    batch = preprocessor.collate(preprocessor.encode(["a"]))
    with torch.no_grad():
        return last_states(model(**{key: torch.from_numpy(batch[key]) for key in preprocessor.inputs})).shape[-1]


def _image_encoder(model: Any, preprocessor: ImagePreprocessor, dim: int | None = None) -> ImageEncoder:
    speed_up_depthwise(model)
    for module in model.modules():
        if hasattr(module, "random_masking"):
            module.random_masking = _unmasked  # masked autoencoders hide three patches in four
    return ImageEncoder(model, preprocessor, dim or _image_dim(model, preprocessor))


def _image_dim(model: Any, preprocessor: ImagePreprocessor) -> int:
    training = model.training
    model.eval()
    with torch.no_grad():
        output = model(pixel_values=torch.zeros(1, 3, *preprocessor.size))
    model.train(training)
    wrapped = getattr(model, "timm_model", None)
    return width_of(output, getattr(wrapped, "num_features", None) or getattr(model.config, "hidden_size", None))


def _unmasked(sequence: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
    """Return all patches in their order, with no mask, as a masked autoencoder is used after its training."""
    rows, length, _ = sequence.shape
    places = torch.arange(length, device=sequence.device).expand(rows, length)
    return sequence, sequence.new_zeros(rows, length), places


def _lite(package: packaged.LitePackage) -> tuple[nn.Module, ImagePreprocessor]:
    path = package.locate() / next(iter(package.files))
    size = package.image_size
    config = EfficientNetLiteConfig(package.width, package.depth, size)
    with torch.random.fork_rng(devices=[]):
        model = EfficientNetLiteModel(config)
    model.load_package_weights(torch.load(path, map_location="cpu", weights_only=True))
    # The published evaluation resizes to size / 0.875 and crops the centre.
    edge = round(size / 0.875)
    return model.eval(), ImagePreprocessor((size, size), (edge, edge))


def _timm(architecture: str) -> tuple[nn.Module, ImagePreprocessor, str, list[str]]:
    name = f"timm:{architecture}"
    if reason := forbidden({"architecture": architecture}):
        raise EncoderError(f"{name}: {reason}", "give the name of an architecture alone, or the hub id without timm:")
    with loading_errors(name, "image"):
        timm = require("timm", "timm", f"the encoder {name}")
        pretrained = timm.create_model(architecture, pretrained=True, num_classes=0)
        from transformers import TimmWrapperConfig  # transformers then imports timm, and timm torchvision

        model: Any = AutoModel.from_config(
            TimmWrapperConfig(architecture=architecture, do_pooling=True), trust_remote_code=False
        )
        model.timm_model.load_state_dict(pretrained.state_dict())
        settings = pretrained.pretrained_cfg
        preprocessor, notes = timm_preprocessor(name, architecture, settings)
    return model.eval(), preprocessor, str(settings.get("license") or "see timm's model card"), notes
