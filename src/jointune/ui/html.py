"""HTML of the page's results. They hold names from users' files, so everything is escaped."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jointune.data.image_file import ImageError
from jointune.data.post import ImageSource, Post
from jointune.data.problems import Problem
from jointune.evaluation.score_table import title, with_interval
from jointune.modalities.image.open import open_image
from jointune.targets.target import Target

_MAX_LISTED = 100  # problems that are shown; a page with many thousands of lines helps nobody
_EDGE = 96  # pixels of a thumbnail's longer side
_TEXT = 200  # characters of a text that the preview shows


def heading(name: str, about: Mapping[str, Any], target: Target) -> str:
    """Return a model's name, labels and encoders, and its first score; ``about`` is that of the predictor."""
    labels, does = escape(", ".join(target.labels)), "tells apart" if target.each_one_label else "finds"
    facts = [f"It {does}: <b>{labels}</b>." if labels else "It gives a number."]
    encoders = [about[side]["name"] for side in ("text_encoder", "image_encoder") if side in about]
    learned = sum(about.get("data", {}).get("training", {}).values())
    if encoders:
        posts = f" on {learned:,} posts" if learned else ""
        facts.append(f"{escape(' and '.join(encoders))}, fine-tuned jointly{posts}.")
    split = next((split for split in ("test", "validation") if split in about.get("metrics", {})), None)
    if split:
        scores = about["metrics"][split]
        first = next(key.removesuffix("_ci") for key in scores if key.endswith("_ci"))
        shown = f"{title(first)[0].upper()}{title(first)[1:]} {with_interval(scores, first)}"
        facts.append(f"{shown} on {scores['n']:,} {split} posts.")
    facts.append("What you enter stays on the machine that shows this page.")
    return f"<h1>{escape(name)}</h1><p>{' '.join(facts)}</p>"


def chart(answers: Mapping[str, int]) -> str:
    """Return how many posts got each answer, as bars."""
    total = sum(answers.values())
    if not total:
        return ""
    rows = [
        f"<tr><th scope=row>{escape(label)}</th><td><div class=bar style='width:{100 * count / total:.1f}%'></div></td>"
        f"<td>{count:,} ({count / total:.0%})</td></tr>"
        for label, count in answers.items()
    ]
    return f"<table class=chart><caption>Answers</caption><tbody>{''.join(rows)}</tbody></table>"


def preview(first: Sequence[tuple[Post, str, float | None]]) -> str:
    """Return the first scored posts with thumbnails of their images."""
    if not first:
        return ""
    rows = []
    for post, answer, confidence in first:
        sure = "" if confidence is None else f"<br>{confidence:.0%}"
        text = post.whole_text or ""
        shown = text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
        images = "".join(map(_thumbnail, post.images))
        rows.append(
            f"<tr><td>{images}</td><td class=answer>{escape(answer)}{sure}</td><td class=text>{escape(shown)}</td></tr>"
        )
    header = "".join(f"<th scope=col>{name}</th>" for name in ("Picture", "Answer", "Text"))
    caption = "The first scored post" if len(rows) == 1 else f"The first {len(rows)} scored posts"
    return f"<table class=posts><caption>{caption}</caption><tr>{header}</tr>{''.join(rows)}</table>"


def _thumbnail(source: ImageSource) -> str:
    """Return an image as HTML that holds it; it was decoded for scoring, so hardly any cannot be."""
    try:
        image = open_image(source, (_EDGE, _EDGE))
    except ImageError:
        return ""
    image.thumbnail((_EDGE, _EDGE))
    file = io.BytesIO()
    image.save(file, "webp", quality=80)
    return f"<img alt='' src='data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}'>"


def sentence_lines(sentences: Sequence[str]) -> str:
    """Return each sentence on a line of its own; the first one is shown larger."""
    return "".join(f"<p>{escape(line)}</p>" for sentence in sentences for line in sentence.splitlines())


def problem_list(problems: Sequence[Problem]) -> str:
    """Return the rows that were left out, one a line; empty if there are none."""
    if not problems:
        return ""
    lines = [str(problem) for problem in problems[:_MAX_LISTED]]
    if len(problems) > _MAX_LISTED:
        lines.append(f"and {len(problems) - _MAX_LISTED:,} more; `jointune check` lists all of them")
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def card_body(card: str) -> str:
    """Return a model card without the block of metadata at its beginning, which is for machines."""
    if card.startswith("---\n"):
        _, _, card = card.removeprefix("---\n").partition("\n---\n")
    return card.strip() or "This model has no card."
