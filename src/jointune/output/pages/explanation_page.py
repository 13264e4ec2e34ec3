"""Write explanations as one page that needs nothing but itself."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource
from jointune.errors import setting
from jointune.explain.explanation import Attribution, Explanation
from jointune.explain.neighbours import Neighbour
from jointune.modalities.image.open import open_image
from jointune.modalities.image.pixels import GRID
from jointune.modalities.parts import Parts
from jointune.output.pages.render import render as fill
from jointune.utils.extras import require
from jointune.utils.files import atomic_file
from jointune.utils.wording import counted, encodable, shortened

_FOR, _AGAINST = (232, 89, 12), (28, 109, 208)
"""Colours of the heat map, those of ``explanation.css`` but brighter."""

_STRONGEST = 6
"""Parts that are listed with their numbers."""

_HEAT = 28
"""Pixels of the longer side of a heat map of gradients."""

_EDGE = 144
"""Pixels of the longer side of a training post's image."""

_LEAD = {
    "occlusion": "Each word and each region of a picture was removed alone: the colours show how the score of the "
    "label changed.",
    "gradients": "The colours show integrated gradients (Sundararajan et al., 2017): what each word and pixel adds "
    "to the score of the label, from a post without content on.",
}


def write_page(path: Path, explanations: Sequence[Explanation], method: str, model: str) -> None:
    """Write a page with an explanation of each post.

    Args:
        path: of the HTML file; an existing one is replaced.
        explanations: of the posts.
        method: by which the parts were weighed.
        model: the name of the model.

    Raises:
        OutputError: the file cannot be written.
        MissingExtraError: jinja2 is not installed.
    """
    text = render(explanations, method, model)
    with atomic_file(path) as temporary:
        temporary.write_bytes(encodable(text).encode("utf-8"))


def render(explanations: Sequence[Explanation], method: str, model: str) -> str:
    """Return the page as text; see ``write_page``."""
    content = {
        "title": f"Why {model} answers so",
        "lead": _LEAD[method],
        "explained": [_post(one, number) for number, one in enumerate(explanations, 1)],
        "no_neighbours": f"They are shown where the training posts are given, with {setting('training')}.",
    }
    return fill("explanation.html.j2", content, autoescape=True, finalize=_without_slashes)


class _Address(str):
    """A data URI, whose slashes stay."""

    __slots__ = ()


def _without_slashes(value: Any) -> Any:
    """Escape slashes too, as OWASP advises: no text of a post can stand in the page as an address."""
    markup = require("markupsafe", "serve", "the page of explanations")
    if isinstance(value, str) and not isinstance(value, _Address | markup.Markup) and "/" in value:
        return markup.Markup(str(markup.escape(value)).replace("/", "&#47;"))
    return value


def _post(one: Explanation, number: int) -> dict[str, Any]:
    posted, read = one.post.whole_text, one.parts["text"].texts if "text" in one.parts else ()
    return {
        "name": one.post.where if one.post.where != "post" else f"Post {number}",
        "answer": one.target.sentence(one.answer).rstrip("."),
        "sentence": one.sentence,
        "posted": posted if posted is not None and " ".join(read).split() != posted.split() else "",
        "images": [_jpeg(pixels) for pixels in one.images],
        "attributions": [_attribution(one, attribution) for attribution in one.attributions],
        "scores": [one.name(attribution.column) for attribution in one.attributions],
        "shares": _shares(one),
        "notes": one.notes,
        "change": _change(one),
        "removal": _removal(one),
        "neighbours": None if one.neighbours is None else [_neighbour(near) for near in one.neighbours],
    }


def _attribution(one: Explanation, attribution: Attribution) -> dict[str, Any]:
    name = one.name(attribution.column)
    listed = [
        (part, one.parts[modality].kind, value)
        for modality, values in attribution.parts.items()
        for part, value in zip(one.parts[modality].names, values.tolist(), strict=True)
    ]
    strongest = [entry for entry in sorted(listed, key=lambda entry: -abs(entry[2]))[:_STRONGEST] if entry[2]]
    texts, words = one.parts.get("text"), attribution.parts.get("text")
    regions = [f"{part} ({value:+.3f})" for part, kind, value in strongest if kind == "region"]
    return {
        "title": f"Why {name} ({attribution.score:.3f})",
        "texts": [] if texts is None or words is None else _pieces(texts, words),
        "heats": _heats(one, attribution),
        "regions": ", ".join(regions) or "no region counts much",
        "strongest": strongest,
        "check": _check(attribution),
    }


def _check(attribution: Attribution) -> str:
    """Say from where on words and pixels add up, and how well they do."""
    if attribution.base is None:
        return ""
    rest = f"; {attribution.missing:+.3f} of it is left over" if abs(attribution.missing) > 1e-3 else ""
    return f"Words and pixels lead from {attribution.base:.3f}, without content, to {attribution.score:.3f}{rest}."


def _pieces(parts: Parts, values: np.ndarray) -> list[list[dict[str, Any]]]:
    """Return the segments of a text as runs of characters, those of words with their values."""
    most = float(np.abs(values).max(initial=0)) or 1.0
    segments: list[list[dict[str, Any]]] = []
    for segment, text in enumerate(parts.texts):
        pieces, used = [], 0
        spans = sorted((*place[1:], values[part]) for part, place in enumerate(parts.places) if place[0] == segment)
        for start, end, value in spans:
            pieces += [{"text": text[used:start], "side": ""}] if start > used else []
            side = "for" if value > 0 else "against" if value < 0 else ""
            pieces.append(
                {"text": text[max(start, used) : end], "side": side, "value": value, "weight": abs(value) / most}
            )
            used = max(used, end)
        segments.append([*pieces, {"text": text[used:], "side": ""}] if used < len(text) else pieces)
    return segments


def _heats(one: Explanation, attribution: Attribution) -> list[str]:
    """Return a small image with transparency to lay over each image."""
    if "image" not in attribution.parts:
        return []
    if attribution.heat is None:
        values = attribution.parts["image"].reshape(len(one.images), GRID, GRID)
    else:  # single pixels are too fine to be seen
        small = [Image.fromarray(heat.astype(np.float32)) for heat in attribution.heat]
        values = np.stack([np.asarray(heat.resize((_HEAT, _HEAT), Image.Resampling.BOX)) for heat in small])
    most = float(np.abs(values).max()) or 1.0
    pixels = np.zeros((*values.shape, 4), dtype=np.uint8)
    pixels[..., :3] = np.where(values[..., None] > 0, _FOR, _AGAINST)
    pixels[..., 3] = np.rint(200 * np.abs(values) / most)
    return [_encoded(Image.fromarray(heat, "RGBA"), "PNG") for heat in pixels]


def _shares(one: Explanation) -> list[dict[str, Any]]:
    shares, target = one.shares, one.target
    columns = [attribution.column for attribution in one.attributions]
    start = "training posts" if shares.from_training else "model without content"
    rows: list[dict[str, Any]] = [
        {"name": f"before the post is seen ({start})", "alone": "", "figures": shares.base, "signed": False}
    ]
    for name, values in shares.values.items():
        alone = target.sentence(shares.alone(name)).rstrip(".")
        rows.append({"name": name, "alone": alone, "figures": values, "signed": True})
    rows.append({"name": "together", "alone": "", "figures": one.answer, "signed": False})
    for pair, values in shares.interactions.items():
        rows.append({"name": f"interaction of {' and '.join(pair)}", "alone": "", "figures": values, "signed": True})
    return [row | {"figures": [float(row["figures"][column]) for column in columns]} for row in rows]


def _change(one: Explanation) -> str:
    if one.removal is None:
        return "No removal of words and regions in the order of their weight changes it."
    removed = [
        counted(len(numbers), one.parts[modality].kind) for modality, numbers in one.removal.parts.items() if numbers
    ]
    return f"Without {' and '.join(removed)}, the answer is: {one.target.sentence(one.removal.answer)}"


def _removal(one: Explanation) -> Mapping[str, Any] | None:
    if one.removal is None:
        return None
    masks = {name: np.isin(np.arange(len(one.parts[name])), numbers) for name, numbers in one.removal.parts.items()}
    images = one.parts["image"].remove(masks["image"]) if "image" in masks else None
    return {
        "images": [_jpeg(image) for image in images or ()],
        "texts": _pieces(one.parts["text"], masks["text"].astype(float)) if "text" in masks else [],
    }


def _neighbour(near: Neighbour) -> dict[str, Any]:
    return {
        "name": near.post.where,
        "label": near.post.label or "",
        "text": shortened(near.post.whole_text or "", 200),
        "similarity": near.similarity,
        "image": _thumbnail(near.post.images),
    }


def _thumbnail(sources: Sequence[ImageSource]) -> str | None:
    if not sources:
        return None
    try:
        image = open_image(sources[0], (_EDGE, _EDGE))
    except ImageError:  # it may be gone since training
        return None
    image.thumbnail((_EDGE, _EDGE))
    return _encoded(image, "JPEG")


def _jpeg(pixels: np.ndarray) -> str:
    return _encoded(Image.fromarray(pixels), "JPEG")


def _encoded(image: Image.Image, kind: str) -> str:
    written = io.BytesIO()
    image.save(written, kind, quality=85)
    return _Address(f"data:image/{kind.lower()};base64,{base64.b64encode(written.getvalue()).decode()}")
