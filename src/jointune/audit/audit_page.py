"""The page of an audit: it stands alone, with thumbnails inside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune import __version__
from jointune.audit.out_of_fold import FOLDS
from jointune.output.pages.post_cards import thumbnails
from jointune.output.pages.render import render

if TYPE_CHECKING:
    from jointune.audit.audit import Audit

_TITLES = {
    "labels": "Labels that are likely to be wrong",
    "twice": "Posts that are there twice",
    "conflicts": "Text against image",
    "slices": "Weak slices",
}

_SHOWN = 50
"""Posts or pairs of a section."""

_LONGEST = 400  # characters of a text


def audit_page(found: "Audit") -> str:
    """Return the page of an audit, HTML."""
    return render("audit.html.j2", _content(found), True, "jointune.audit")


def _content(found: "Audit") -> dict[str, Any]:
    posts, judged, leaks = found.judged.posts, found.judged, set(found.leaks)
    suspicious = np.argsort(-found.suspicion, kind="stable")[:_SHOWN].tolist()
    right = int((judged.answers.argmax(1) == judged.labels).sum())
    return {
        "title": f"Audit of {posts.name}",
        "titles": _TITLES,
        "version": __version__,
        "folds": FOLDS,
        "audited": len(posts),
        "errors": found.likely_errors,
        "right": f"{right / len(posts):.1%}",
        "leaks": len(leaks),
        "duplicates": len(found.pairs) - len(leaks),
        "splits": len({post.split for post in posts}) > 1,
        "suspicious": [
            _card(
                found,
                post,
                [
                    ("label", str(posts[post].label)),
                    ("the others say", found.suggested[post]),
                    ("suspicion", f"{found.suspicion[post]:.3f}"),
                ],
            )
            for post in suspicious
        ],
        "pairs": [
            [
                _card(found, post, [("split", posts[post].split or "none"), ("label", str(posts[post].label))])
                for post in (pair.first, pair.second)
            ]
            + [pair.shared.replace("+", " and "), f"{pair.likeness:.2f}"]
            for pair in sorted(found.pairs, key=lambda pair: pair not in leaks)[:_SHOWN]
        ],
        "conflicts": [
            _card(
                found,
                conflict.post,
                [
                    *((f"{name} alone", f"{label} ({sure:.2f})") for name, (label, sure) in conflict.says.items()),
                    ("together", conflict.together),
                    ("label", str(posts[conflict.post].label)),
                ],
            )
            for conflict in found.conflicts[:_SHOWN]
        ],
        "slices": found.slices,
    }


def _card(found: "Audit", number: int, facts: Sequence[tuple[str, str]]) -> dict[str, Any]:
    post = found.judged.posts[number]
    text = " ".join((post.whole_text or "").split())
    return {
        "name": post.where,
        "text": text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()} …",
        **thumbnails(post),
        "facts": facts,
    }
