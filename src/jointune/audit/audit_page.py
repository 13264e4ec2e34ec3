"""The page of an audit: it stands alone, with thumbnails inside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jointune import __version__
from jointune.audit.model_findings import ModelFindings
from jointune.audit.named_labels import NamedLabel
from jointune.audit.near_duplicates import Pair
from jointune.audit.out_of_fold import FOLDS
from jointune.audit.robustness import MOST, Loss
from jointune.audit.slices import Slice
from jointune.data.post import Post
from jointune.output.pages.figures import count, interval, score, signed, signed_interval
from jointune.output.pages.page_tables import Column, Table, Value
from jointune.output.pages.post_cards import card
from jointune.output.pages.render import render
from jointune.utils.wording import counted

if TYPE_CHECKING:
    from jointune.audit.audit import Audit

_SHOWN = 50
"""Posts or pairs of a section."""
_FEW = 24
"""Posts of a section that is there to give an impression."""

Facts = Sequence[tuple[str, str]]


def audit_page(found: "Audit") -> str:
    """Return the page of an audit, HTML."""
    return render("audit.html.j2", _content(found), True, "jointune.audit")


def _content(found: "Audit") -> dict[str, Any]:
    posts, judged, leaks = found.judged.posts, found.judged, found.leaks
    sections = {
        "labels": "Labels that are likely to be wrong",
        "twice": "Posts that are there twice",
        "conflicts": "Text against picture" if found.conflicts else "",
        "named": "Labels in pictures" if found.named else "",
        "slices": "Weak slices",
        "model": "The model" if found.model else "",
        "losses": "Changed posts" if found.model and found.model.losses else "",
        "next": "What to label next" if found.next else "",
    }
    return {
        "title": f"Audit of {posts.name}",
        "titles": {key: title for key, title in sections.items() if title},
        "version": __version__,
        "folds": FOLDS,
        "audited": len(posts),
        "errors": found.likely_errors,
        "right": f"{judged.right.mean():.1%}",
        "leaks": len(leaks),
        "duplicates": len(found.pairs) - len(leaks),
        "splits": len({post.split for post in posts}) > 1,
        "suspicious": _suspicious(found),
        "pairs": _pairs(found, set(leaks)),
        "conflicts": _conflicts(found),
        "named_table": _named_table(found.named) if found.named else None,
        "named_cards": _named(found),
        "slice_table": _slice_table("Accuracy by part", found.slices),
        "model": found.model is not None,
        **(_of_model(found.model) if found.model else {}),
        "next": [
            _card(one.post, [("priority", str(place)), ("prediction", one.answer), ("margin", f"{one.margin:.3f}")])
            for place, one in enumerate(found.next[:_FEW], 1)
        ],
        "unlabelled": len(found.next),
    }


def _suspicious(found: "Audit") -> list[dict[str, Any]]:
    order = np.argsort(-found.suspicion, kind="stable")[:_SHOWN]
    posts = found.judged.posts
    shown = [post for post in order.tolist() if found.suggested[post] != str(posts[post].label)]
    return [
        _card(
            posts[post],
            [
                ("label", str(posts[post].label)),
                ("the others say", found.suggested[post]),
                ("suspicion", f"{found.suspicion[post]:.3f}"),
            ],
        )
        for post in shown
    ]


def _pairs(found: "Audit", leaks: set[Pair]) -> list[tuple[list[dict[str, Any]], str, str]]:
    posts = found.judged.posts

    def facts(post: Post) -> Facts:
        return [("split", post.split or "none"), ("label", str(post.label))]

    return [
        (
            [_card(posts[number], facts(posts[number])) for number in (pair.first, pair.second)],
            pair.shared.replace("+", " and ").replace("image", "picture"),
            f"{pair.likeness:.2f}",
        )
        for pair in sorted(found.pairs, key=lambda pair: pair not in leaks)[:_SHOWN]
    ]


def _conflicts(found: "Audit") -> list[dict[str, Any]]:
    posts = found.judged.posts
    return [
        _card(
            posts[conflict.post],
            [
                *(
                    (f"{name.replace('image', 'picture')} alone", f"{label} ({sure:.2f})")
                    for name, (label, sure) in conflict.says.items()
                ),
                ("together", conflict.together),
                ("label", str(posts[conflict.post].label)),
            ],
        )
        for conflict in found.conflicts[:_SHOWN]
    ]


def _named(found: "Audit") -> list[dict[str, Any]]:
    posts = found.judged.posts
    hits = [(one.label, number) for one in found.named or () for number in (*one.own, *one.others)]
    return [
        _card(posts[number], [("reads", label), ("label", str(posts[number].label))]) for label, number in hits[:_FEW]
    ]


def _named_table(named: Sequence[NamedLabel]) -> Table:
    def share(hits: int, total: int) -> Value:
        return Value(count(hits), f"{hits / max(total, 1):.1%} of {total:,}")

    rows = [[one.label, share(len(one.own), one.of_own), share(len(one.others), one.of_others)] for one in named]
    return Table("Pictures that name a label", [Column("label", "l"), "of its posts", "of other posts"], rows)


def _slice_table(caption: str, slices: Sequence[Slice]) -> Table | None:
    if not slices:
        return None
    low, high = min(one.low for one in slices), max(one.high for one in slices)
    rows = [
        [
            one.name,
            Value(count(one.posts)),
            Value(score(one.accuracy), interval(one.low, one.high)),
            Value(f"accuracy {score(one.accuracy)}, interval {interval(one.low, one.high)}", estimate=one),
            score(one.rest),
            score(one.confidence),
            Value(", ".join(one.faults), tone="bad" if one.faults else ""),
        ]
        for one in slices
    ]
    drawn = Column(interval(low, high), "l", drawing=True)
    columns = [Column("part", "l"), "posts", "accuracy", drawn, "other posts", "confidence", Column("found", "l")]
    return Table(caption, columns, rows, axis=(low, high))


def _of_model(model: ModelFindings) -> dict[str, Any]:
    lead = "All of these posts were learned by the model, or share a text or picture with such posts."
    if model.posts:
        told = "" if model.learned is None else " that it was not trained on"
        lead = (
            f"On the {counted(len(model.posts), 'post')}{told}, the model is right on {model.accuracy:.1%}, with a "
            f"mean confidence of {model.confidence:.1%}. Its parts are judged as those of the probes are."
        )
    notes = [
        "The model does not tell on which posts it was trained: if these are among them, the figures flatter."
        * (model.learned is None),
        f"{counted(model.learned or 0, 'post')} that it was trained on, or that share a text or picture with such "
        f"posts, {'is' if model.learned == 1 else 'are'} left out." * bool(model.learned),
        f"{counted(model.validated, 'post')} of them chose its weights and its temperature: they flatter a little."
        * bool(model.validated),
    ]
    return {
        "model_lead": lead,
        "model_notes": list(filter(None, notes)),
        "model_table": _slice_table("Accuracy of the model by part", model.slices),
        "loss_table": _loss_table(model.losses) if model.losses else None,
        "most_changed": MOST,
    }


def _loss_table(losses: Sequence[Loss]) -> Table:
    rows = [
        [
            one.change,
            Value(count(one.posts)),
            score(one.accuracy),
            Value(signed(one.lost.value), signed_interval(one.lost.low, one.lost.high)),
            Value("loses" if one.lost.value > 0 else "gains", tone="bad" if one.lost.value > 0 else "good")
            if one.distinguishable
            else Value("not distinguishable", tone="mute"),
        ]
        for one in losses
    ]
    columns = [Column("change", "l"), "posts", "accuracy", "lost", Column("found", "l")]
    return Table("Accuracy lost", columns, rows)


def _card(post: Post, facts: Facts) -> dict[str, Any]:
    return card(post, 1, ()) | {"label": None, "facts": facts}
