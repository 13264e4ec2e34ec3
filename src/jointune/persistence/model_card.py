"""The model card that goes with every bundle."""

from collections.abc import Mapping, Sequence
from typing import Any

from jointune import __version__
from jointune.evaluation.conformal import OWN, Conformity, coverage_interval, rank
from jointune.evaluation.notes import untested
from jointune.evaluation.score_table import with_interval
from jointune.targets.target import Target
from jointune.utils.markdown import literal, table
from jointune.utils.wording import counted


def model_card(
    name: str,
    target: Target,
    encoders: Mapping[str, Mapping[str, Any]],
    preprocessing: str,
    fusion: str,
    data: Mapping[str, Mapping[str, int]],
    metrics: Mapping[str, Mapping[str, Any]],
    calibration: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    log: Sequence[Mapping[str, Any]] = (),
    conformity: Conformity | None = None,
) -> str:
    """Return a bundle's README.md, in Markdown: data, encoders and licences, scores with intervals, use and limits.

    Args:
        name: of the bundle.
        target: what is asked of a post, with its labels.
        encoders: by modality, a description with ``name`` and ``licence``.
        preprocessing: what happens to texts and pictures, in a sentence.
        fusion: its name.
        data: part, such as ``training``, to the number of posts by label.
        metrics: part, such as ``validation``, to its ``Metrics`` as a dictionary.
        calibration: ``Calibration`` as a dictionary.
        notes: what to know before the model is trusted, one sentence each.
        log: the training log.
        conformity: by which prediction sets are made.
    """
    lines = [
        "---",
        "library_name: jointune",
        "pipeline_tag: text-classification",
        "tags: [jointune, multimodal, text-classification, image-classification]",
        "---",
        "",
        f"# {literal(name)}",
        "",
        "A classifier of posts that carry a text, a picture or both, made by jointly fine-tuning two unimodal encoders "
        f"with jointune {__version__}. {target.about(literal)}",
        "",
        "## Encoders",
        "",
        *table(
            ["modality", "encoder", "licence"],
            "lll",
            [
                [modality, literal(encoder["name"]), literal(encoder["licence"])]
                for modality, encoder in encoders.items()
            ],
        ),
        "",
        f"Fusion: {literal(fusion)}. {preprocessing}{_chosen(log)}",
        "",
        *(["## Know this first", "", *(f"- {literal(note)}" for note in notes), ""] if notes else []),
        *(["## Data", "", *_data_table(target, data), ""] if target.labels else []),
        "## Scores",
        "",
    ]
    for part, scores in metrics.items():
        lines += [*_scores(part, scores), ""]
    if calibration:
        lines += [*_calibration(calibration, target), ""]
    if conformity:
        lines += [*_prediction_sets(conformity, target), ""]
    lines += [
        "## Intended use",
        "",
        "Posts like those it was trained on: the same source, language, period and labelling rules. Check it on "
        "labelled posts of your own (`jointune evaluate`) before relying on it elsewhere.",
        "",
        "## Limits",
        "",
        "- The validation posts chose the best checkpoint, so scores on them are slightly optimistic; a test part "
        "that took no part in training is the fairer measure.",
        "- Probabilities may be too high on posts of another kind than the validation posts.",
        "- Labels are opinions of annotators; the model repeats theirs and both encoders' biases.",
        "- Not to be used to judge persons.",
        "",
    ]
    return "\n".join(lines)


def _chosen(log: Sequence[Mapping[str, Any]]) -> str:
    """Say which weights training kept, and the penalty of the probe that it began with; nothing for old bundles."""
    if not log or "probe_strength" not in log[0]:
        return ""
    penalty = f"a penalty of inverse strength {log[0]['probe_strength']:.3g}"
    kept = next((entry for entry in log if entry.get("kept") is True), {})
    if not kept.get("epoch"):
        return f" Training chose the linear probe alone, with {penalty}."
    runs = kept.get("averaged_runs", 1)
    which = f"the average of {runs} runs, after" if runs > 1 else "the weights after"
    return f" Training chose {which} {kept['epoch']:.3g} epochs; the linear probe that it began with has {penalty}."


def _data_table(target: Target, data: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = [[literal(label), *(f"{counts.get(label, 0):,}" for counts in data.values())] for label in target.labels]
    if target.each_one_label:
        rows.append(["**posts**", *(f"{sum(counts.values()):,}" for counts in data.values())])
    return table(["label", *map(literal, data)], "l" + "r" * len(data), rows)


def _calibration(calibration: Mapping[str, Any], target: Target) -> list[str]:
    before, after = calibration["reliability"]
    bins = [
        [when, f"{confidence:.2f}", f"{accuracy:.2f}", f"{posts:,}"]
        for when, rows in (("before", before), ("after", after))
        for confidence, accuracy, posts in rows
    ]
    measures = [
        [name, *(f"{value:.3f}" for value in calibration[measure])]
        for name, measure in (("log loss", "log_loss"), ("expected calibration error", "ece"))
    ]
    wanted = [0.7, 0.8, 0.9, 0.95]
    rows = []
    for accuracy in wanted:
        reached = [row for row in calibration["answered"] if row[1] >= accuracy]
        rows.append(
            [f"{accuracy:.0%}", f"{reached[0][0]:.2f}", f"{reached[0][2]:.0%}"]
            if reached
            else [f"{accuracy:.0%}", "none reaches it", ""]
        )
    return [
        "## Calibration",
        "",
        _temperature(calibration),
        "",
        *table(["measure", "before", "after"], "lrr", measures),
        "",
        "How often posts of like confidence were right:",
        "",
        *table(["temperature", "mean confidence", "accuracy", "posts"], "lrrr", bins),
        *(["", "What `abstain` would answer on these posts:", ""] if target.abstains else []),
        *(table(["accuracy wanted", "confidence needed", "posts answered"], "rrr", rows) if target.abstains else []),
    ]


def _prediction_sets(conformity: Conformity, target: Target) -> list[str]:
    """Say how often the truth is in prediction sets, as far as so few validation posts tell."""
    parts = {"all": len(conformity.held)} | conformity.enough
    rows = [
        [name, f"{posts:,}", f"{coverage:.0%}", "{:.1%} to {:.1%}".format(*coverage_interval(posts, coverage))]
        for name, posts in parts.items()
        for coverage in (0.8, 0.9, 0.95)
        if rank(posts, coverage) <= posts
    ]
    pooled = sorted(set(conformity.held) - conformity.enough.keys())
    truth = "the true number" if not target.named else "all true labels" if target.several else "the true label"
    return [
        "## Prediction sets",
        "",
        f"With `coverage`, answers come with {'a set' if target.named else 'an interval'} that holds {truth} of that "
        "share of posts like the validation posts. How large the share is exactly depends on which posts these were: "
        "it lies in the interval with a probability of 95 %. Of posts that share a text or a picture, one counts.",
        "",
        *table(["posts with", "validation posts", "coverage asked", "share covered"], "lrrl", rows),
        *(
            ["", f"Bounds of all posts hold for posts with {', or '.join(pooled)}: fewer than {OWN} were like that."]
            if conformity.enough and pooled
            else []
        ),
    ]


def _temperature(calibration: Mapping[str, Any]) -> str:
    """Say whether a temperature is applied, and why."""
    if "fitted" not in calibration:  # an older bundle
        temperature = f"{calibration['temperature']:.2f}"
        return f"The logits are divided by a temperature of {temperature}, fitted on the validation posts."
    before, after = calibration["log_loss"][0], calibration["cross_validated"]
    if after is None:
        return "No temperature is applied: there are too few validation posts to tell whether one would help."
    tried = f"log loss {before:.3f} before, {after:.3f} after"
    if calibration["temperature"] == 1:
        return (
            f"No temperature is applied: that of {calibration['fitted']:.2f}, the best on the validation posts, does "
            f"not help on posts that it was not fitted on ({tried}, cross-validated on the validation posts)."
        )
    return (
        f"The logits are divided by a temperature of {calibration['temperature']:.2f}, fitted on the validation posts, "
        f"because it helps on posts that it was not fitted on ({tried}, cross-validated on the validation posts). "
        '"After" below is cross-validated too.'
    )


def _scores(part: str, scores: Mapping[str, Any]) -> list[str]:
    bounded = [name.removesuffix("_ci") for name in scores if name.endswith("_ci")]
    measures = [
        [measure.replace("_", " "), f"{scores[measure]:.3f}", "{:.3f} to {:.3f}".format(*scores[f"{measure}_ci"])]
        for measure in bounded
    ]
    plain = [name for name, value in scores.items() if isinstance(value, float | int) and name not in ("n", *bounded)]
    measures += [[measure.replace("_", " "), f"{scores[measure]:.3f}", ""] for measure in plain]
    classes = [
        [literal(label), *(with_interval(row, score) for score in ("precision", "recall", "f1")), f"{row['support']:,}"]
        for label, row in scores.get("per_class", {}).items()
    ]
    lacking = untested(scores)
    name, when = part.removesuffix("_before"), ", before training" if part.endswith("_before") else ""
    return [
        f"On the {counted(scores['n'], f'{literal(name)} post')}{when}{f', {literal(lacking)}' if lacking else ''}:",
        "",
        *table(["measure", "value", "95 % interval"], "lrl", measures),
        *(["", *table(["label", "precision", "recall", "F1", "posts"], "lrrrr", classes)] if classes else []),
    ]
