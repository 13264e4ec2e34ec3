"""Describe what was run: posts, methods and settings."""

from collections import Counter
from typing import Any

from jointune.baselines.clip import ENCODER_LR as CLIP_LR
from jointune.comparison.comparison import Comparison
from jointune.comparison.methods import METHODS
from jointune.comparison.report.caveats import budgets_of, tried_cells
from jointune.comparison.report.report_tables import METHOD
from jointune.output.pages.figures import budget_names, count, listed
from jointune.output.pages.page_tables import Column, Table, Value
from jointune.utils.wording import counted


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """List the facts of a comparison, each with its name; a folder of an earlier version may lack some."""
    about, tried = comparison.about, tried_cells(comparison)
    posts, protocol, setup = (about.get(name) or {} for name in ("posts", "protocol", "setup"))
    checkpoints = {name: value for name, value in setup.items() if name != "settings" and value is not None}
    facts = {"posts": f"{comparison.posts.name}: {counted(len(comparison.posts), 'post')}"}
    if posts.get("affected"):
        treatment = "left out" if posts["on bad image"] == "skip" else "used without it"
        facts["posts whose picture could not be read"] = f"{posts['affected']:,}, {treatment}"
    facts |= {
        "folds": f"{len(comparison.folds):,}",
        "divided by": str(protocol.get("divided by", "not stated")),
        "test posts that share a picture or a text with training": count(sum(fold.shared for fold in comparison.folds)),
        "posts to learn from": budget_names(budgets_of(tried)),
        "seeds": listed([str(seed) for seed in sorted({cell.seed for cell in tried})]),
        "trainings": f"{len(comparison.results):,} finished, {len(comparison.failures):,} crashed",
        "settings that were chosen": _pairs({**setup.get("settings", {}), **checkpoints}) or "none: the recipe's own",
        "versions": _pairs(about.get("versions")) or "not stated",
        "environment": _pairs(about.get("environment")) or "not stated",
        "begun": str(about.get("begun", "not stated")),
        "posts, SHA-256": str(posts.get("sha256", "not stated")),
    }
    return list(facts.items())


def _pairs(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())


def label_table(comparison: Comparison) -> Table:
    """List the number of posts of each label."""
    counts, total = comparison.target.counts(comparison.posts), len(comparison.posts)
    rows = [[label, count(counts[label]), f"{100 * counts[label] / total:.1f} %"] for label in comparison.labels]
    return Table("Posts by label", [Column("label", "l"), "posts", "share"], rows)


def fold_table(comparison: Comparison) -> Table:
    """List the sizes of the folds."""
    rows = [
        [str(fold.number), *(count(len(part)) for part in (fold.train, fold.validation, fold.test)), count(fold.shared)]
        for fold in comparison.folds
    ]
    columns = [Column("fold", "l"), "to learn from", "validation", "test", "test posts shared"]
    note = "Shared: test posts with a picture or a text that is also among the posts to learn from or for validation."
    return Table("Posts by part", columns, rows, [note])


def method_table(comparison: Comparison) -> Table:
    """Describe each method, and count its trainings."""
    described = comparison.about.get("methods") or {}
    crashed = Counter(failure.cell.method for failure in comparison.failures)
    finished = Counter(result.cell.method for result in comparison.results)
    rows = [
        [
            name,
            str(described.get(name, "a method of one's own")),
            count(finished[name]),
            Value(count(crashed[name]), tone="bad" if crashed[name] else ""),
        ]
        for name in [*comparison.methods, *sorted(set(crashed) - set(comparison.methods))]
    ]
    columns = [METHOD, Column("what it is", "l"), "finished", "crashed"]
    return Table("Methods, and the number of their trainings", columns, rows)


def settings_table(comparison: Comparison) -> Table | None:
    """List the settings of all methods, and those that are a method's own; None if the folder does not hold them."""
    recipe = comparison.about.get("recipe")
    if not recipe:
        return None
    changes = {name: METHODS[name].changes for name in comparison.methods if name in METHODS}
    rows = []
    for setting, value in sorted(recipe.items()):
        other = [f"{name}: {_plain(own[setting])}" for name, own in changes.items() if own.get(setting, value) != value]
        rows.append([setting, _plain(value), "; ".join(other)])
    note = (
        f"Arguments of JointClassifier. clip takes both encoders and the fusion from its checkpoint, and {CLIP_LR:g} "
        "as encoder_lr where no other was chosen. Methods that are not trained by this recipe, such as one's own, have "
        "settings of their own."
    )
    columns = [Column("setting", "l"), Column("value", "l"), Column("otherwise", "l")]
    return Table("Settings", columns, rows, [note], folded=f"The {len(rows)} settings")


def _plain(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
