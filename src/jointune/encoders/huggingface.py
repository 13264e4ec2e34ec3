"""The only module that talks to transformers: loading any checkpoint, and building it again from a bundle."""

import contextlib
import inspect
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from jointune.batches.pixels import ImagePreprocessor
from jointune.batches.tokens import TextPreprocessor
from jointune.encoders import builtin
from jointune.encoders.depthwise import speed_up_depthwise
from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from jointune.encoders.image import ImageEncoder
from jointune.encoders.projections import Projections
from jointune.encoders.text import TextEncoder
from jointune.errors import EncoderError, SettingsError
from jointune.extras import require

AutoConfig.register("efficientnet_lite", EfficientNetLiteConfig, exist_ok=True)
AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)

DEFAULT_MAX_TOKENS = 128


def load_text_encoder(name: str, max_tokens: int | None = None) -> tuple[TextEncoder, TextPreprocessor, dict[str, Any]]:
    """Load a text encoder with its tokenizer.

    Args:
        name: a built-in name, a local folder, or a Hugging Face id.
        max_tokens: the length that texts are cut to; 128, or what the encoder allows where that is less, by default.

    Returns:
        The encoder, the preprocessor, and the description from which ``build_text_encoder`` makes it again.

    Raises:
        EncoderError: it cannot be found, verified or loaded.
        SettingsError: ``max_tokens`` is more than the encoder allows.
    """
    source, licence = _source(name, builtin.TEXT, "model")
    with _loading(name, "text"):
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = _tower(_pretrained(source), "text")
    preprocessor = _text_preprocessor(name, tokenizer, model, max_tokens)
    description = {"name": name, "licence": licence, "config": _config(model, source)}
    return _text_encoder(model, preprocessor), preprocessor, description


def load_image_encoder(name: str) -> tuple[ImageEncoder, ImagePreprocessor, dict[str, Any]]:
    """Load an image encoder with its preprocessing.

    Args:
        name: a built-in name, a local folder, a Hugging Face id, or ``timm:NAME``.

    Returns:
        The encoder, the preprocessor, and the description from which ``build_image_encoder`` makes it again.

    Raises:
        EncoderError: it cannot be found, verified or loaded.
        MissingExtraError: ``timm:`` is asked for and timm is not installed.
    """
    if name in builtin.IMAGE:
        model, preprocessor = _lite(builtin.IMAGE[name])
        licence, source = builtin.IMAGE[name].licence, None
    elif name.startswith("timm:"):
        model, preprocessor, licence = _timm(name.removeprefix("timm:"))
        source = None
    else:
        source, licence = _source(name, {}, "")
        with _loading(name, "image"):
            processor = AutoImageProcessor.from_pretrained(source, backend="pil")
            model = _tower(_pretrained(source), "vision")
        preprocessor = _image_preprocessor(processor, name)
    description = {"name": name, "licence": licence, "config": _config(model, source)}
    return _image_encoder(model, preprocessor), preprocessor, description


def load_projections(name: str) -> Projections:
    """Load what a dual encoder puts on top of its towers, which ``load_text_encoder`` and its like leave out.

    Args:
        name: a local folder or a Hugging Face id of CLIP or SigLIP.

    Raises:
        EncoderError: it cannot be found or loaded, or is not a dual encoder of these families.
    """
    source, _ = _source(name, {}, "")
    with _loading(name, "dual"):
        model = _pretrained(source)
    if not (hasattr(model, "text_model") and hasattr(model, "vision_model") and _pools(model)):
        raise EncoderError(
            f"{name!r} holds a {type(model).__name__}: a dual encoder is needed, CLIP or SigLIP, with both towers"
        )
    scale = float(model.logit_scale.detach().exp())
    if hasattr(model, "text_projection"):
        return Projections(model.text_projection.weight.detach(), model.visual_projection.weight.detach(), scale)
    same = torch.eye(model.config.vision_config.hidden_size)
    return Projections(same, same.clone(), scale)


def build_text_encoder(description: dict[str, Any], preprocessor: TextPreprocessor) -> TextEncoder:
    """The encoder that ``load_text_encoder`` described, with random weights."""
    return _text_encoder(_tower(_from_config(description["config"]), "text"), preprocessor)


def build_image_encoder(description: dict[str, Any], preprocessor: ImagePreprocessor) -> ImageEncoder:
    """The encoder that ``load_image_encoder`` described, with random weights."""
    return _image_encoder(_tower(_from_config(description["config"]), "vision"), preprocessor)


def _source(name: str, built_in: dict[str, builtin.BuiltIn], inside: str) -> tuple[str, str]:
    if name in built_in:
        return str(built_in[name].locate() / inside), built_in[name].licence
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder), _stated_licence(folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        # A path, not an id: the hub need not be asked, which takes a minute without a network.
        raise EncoderError(f"{name}: no such folder with an encoder in it")
    known = sorted([*builtin.TEXT, *builtin.IMAGE])
    if name in known:
        raise EncoderError(f"{name} is not an encoder of this modality; built in: {', '.join(known)}")
    return name, "see its page on the Hugging Face hub"


def _stated_licence(folder: Path) -> str:
    card = folder / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:50]:
            if line.startswith("license:"):
                return line.removeprefix("license:").strip()
    return "not stated in its folder"


@contextlib.contextmanager
def _loading(name: str, modality: str) -> Iterator[None]:
    """One clear error for whatever transformers raises, and none of its bars and reports in between."""
    logger = logging.getLogger("transformers")
    level, bars = logger.level, transformers.utils.logging.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        # Weights that a checkpoint lacks are drawn at random: from our own seed, the caller's state untouched.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError) as reason:
        first = str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__
        raise EncoderError(
            f"the {modality} encoder {name!r} cannot be loaded: {first} "
            "(give a built-in name, a folder with config.json and weights, or a Hugging Face id)"
        ) from reason
    finally:
        logger.setLevel(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _pretrained(source: str) -> Any:
    config = AutoConfig.from_pretrained(source)
    return AutoModel.from_pretrained(source, dtype=torch.float32, **_without_pooler(config))


def _from_config(config: dict[str, Any]) -> Any:
    built = AutoConfig.for_model(**config)
    with torch.random.fork_rng(devices=[]):
        return AutoModel.from_config(built, **_without_pooler(built))


def _without_pooler(config: Any) -> dict[str, bool]:
    """Leave out BERT's and ViT's pooler, a layer for another task that many checkpoints lack."""
    model_class = transformers.models.auto.modeling_auto.MODEL_MAPPING.get(type(config), None)
    takes = model_class is not None and "add_pooling_layer" in inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


def _tower(model: Any, side: str) -> Any:
    """The text or vision tower of a dual encoder, the encoder of an encoder-decoder, or the model itself."""
    tower = getattr(model, f"{side}_model", None)
    if isinstance(tower, nn.Module) and hasattr(model.config, f"{side}_config"):
        tower.whole_config = model.config
        return tower
    if getattr(model.config, "is_encoder_decoder", False):
        encoder = model.get_encoder()
        encoder.whole_config = model.config
        return encoder
    return model


def _config(model: Any, source: str | None) -> dict[str, Any]:
    config = getattr(model, "whole_config", model.config)
    values = json.loads(config.to_json_string(use_diff=False))
    for machine in ("_name_or_path", "transformers_version", "dtype", "torch_dtype"):
        values.pop(machine, None)
    if "auto_map" in values:
        raise EncoderError(f"the encoder {source} needs code of its own (auto_map), which jointune does not run")
    return values


def _text_encoder(model: Any, preprocessor: TextPreprocessor) -> TextEncoder:
    return TextEncoder(model, preprocessor.inputs, own_pooling=hasattr(model, "whole_config") and _pools(model))


def _pools(model: Any) -> bool:
    return model.config.model_type.split("_")[0] in ("clip", "siglip", "siglip2")


def _text_preprocessor(name: str, tokenizer: Any, model: Any, max_tokens: int | None) -> TextPreprocessor:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EncoderError(f"the text encoder {name!r} has no fast tokenizer (tokenizer.json), which jointune needs")
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # transformers makes up an empty one where there is none: every word would be unknown.
        whose = (
            "google-bert/bert-base-uncased" if model.config.model_type == "visual_bert" else "the model it is made from"
        )
        raise EncoderError(
            f"the text encoder {name!r} comes without a tokenizer: put tokenizer.json and tokenizer_config.json beside "
            f"its weights in a folder and give that ({model.config.model_type}: those of {whose})"
        )
    config = model.config
    limit = min(
        tokenizer.model_max_length,
        # RoBERTa's family counts positions from the padding id on.
        getattr(config, "max_position_embeddings", None) or 10**9,
    )
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer"):
        limit = min(limit, config.max_position_embeddings - (config.pad_token_id or 0) - 1)
    if max_tokens is not None and not 4 <= max_tokens <= limit:
        raise SettingsError(f"max_tokens={max_tokens}: the text encoder {name!r} takes 4 to {limit} tokens")
    fixed = config.model_type.startswith("siglip")
    inputs = [kind for kind in ("input_ids", "attention_mask") if not fixed or kind == "input_ids"]
    if "token_type_ids" in tokenizer.model_input_names and getattr(config, "type_vocab_size", 0) > 1:
        inputs.append("token_type_ids")
    return TextPreprocessor(
        backend,
        max_tokens=limit if fixed else max_tokens or min(limit, DEFAULT_MAX_TOKENS),
        pad_id=tokenizer.pad_token_id or 0,
        inputs=tuple(inputs),
        fixed_length=fixed,
    )


def _image_encoder(model: Any, preprocessor: ImagePreprocessor) -> ImageEncoder:
    speed_up_depthwise(model)
    return ImageEncoder(model, preprocessor, _image_dim(model, preprocessor))


def _image_dim(model: Any, preprocessor: ImagePreprocessor) -> int:
    """The width of the states, asked of the model: configs of convolutional families each name it differently."""
    training = model.training
    model.eval()
    with torch.no_grad():
        output = model(pixel_values=torch.zeros(1, 3, *preprocessor.size))
    model.train(training)
    states = output.last_hidden_state
    return int(states.shape[1] if states.dim() == 4 else states.shape[2])


def _image_preprocessor(processor: Any, name: str) -> ImagePreprocessor:
    size = dict(processor.size or {})
    crop = dict(processor.crop_size) if getattr(processor, "do_center_crop", False) and processor.crop_size else None
    normalise = getattr(processor, "do_normalize", True)
    rest: dict[str, Any] = {
        "resample": int(processor.resample),
        "mean": tuple(processor.image_mean) if normalise else (0.0, 0.0, 0.0),
        "std": tuple(processor.image_std) if normalise else (1.0, 1.0, 1.0),
    }
    if "shortest_edge" in size:
        edge = size["shortest_edge"]
        final = (crop["height"], crop["width"]) if crop else (edge, edge)
        percentage = getattr(processor, "crop_pct", None)
        if percentage and not crop:
            # ConvNeXt: below 384 the picture is resized to edge / crop_pct and cropped, from 384 on it is squashed.
            if edge >= 384:
                return ImagePreprocessor(final, final, "squash", **rest)
            edge = int(edge / percentage)
        return ImagePreprocessor(final, (max(edge, final[0]), max(edge, final[1])), "crop", **rest)
    if "height" in size and "width" in size:
        resized = (size["height"], size["width"])
        final = (crop["height"], crop["width"]) if crop else resized
        return ImagePreprocessor(final, resized, "squash", **rest)
    raise EncoderError(f"the image encoder {name!r} resizes in a way that jointune does not know: size={size}")


def _lite(package: builtin.LitePackage) -> tuple[nn.Module, ImagePreprocessor]:
    path = package.locate() / next(iter(package.files))
    size = package.image_size
    config = EfficientNetLiteConfig(package.width, package.depth, size)
    with torch.random.fork_rng(devices=[]):
        model = EfficientNetLiteModel(config)
    model.load_package_weights(torch.load(path, map_location="cpu", weights_only=True))
    # The published evaluation resizes to size / 0.875 and crops the centre.
    edge = round(size / 0.875)
    return model, ImagePreprocessor((size, size), (edge, edge))


def _timm(name: str) -> tuple[nn.Module, ImagePreprocessor, str]:
    timm = require("timm", "timm", f"the encoder timm:{name}")
    with _loading(f"timm:{name}", "image"):
        config = transformers.TimmWrapperConfig(architecture=name, do_pooling=True)
        model = AutoModel.from_config(config)
        pretrained = timm.create_model(name, pretrained=True, num_classes=0)
        model.timm_model.load_state_dict(pretrained.state_dict())
        data = timm.data.resolve_model_data_config(pretrained)
    height, width = data["input_size"][1:]
    resize = (round(height / data["crop_pct"]), round(width / data["crop_pct"]))
    resample = getattr(transformers.image_utils.PILImageResampling, data["interpolation"].upper())
    preprocessor = ImagePreprocessor(
        (height, width), resize, "crop", int(resample), tuple(data["mean"]), tuple(data["std"])
    )
    return model, preprocessor, str(pretrained.pretrained_cfg.get("license") or "see timm's model card")
