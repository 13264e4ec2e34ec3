"""The model card that goes with every bundle."""

from typing import TYPE_CHECKING, Any

from jointune import __version__

if TYPE_CHECKING:
    from jointune.bundle import Bundle


def model_card(bundle: "Bundle", name: str) -> str:
    """A bundle's README.md, in Markdown: data, encoders and licences, scores with intervals, use and limits."""
    text, image = bundle.encoders["text"], bundle.encoders["image"]
    lines = [
        "---",
        "library_name: jointune",
        "pipeline_tag: text-classification",
        "tags: [jointune, multimodal, text-classification, image-classification]",
        "---",
        "",
        f"# {name}",
        "",
        "A classifier of posts that carry a text, a picture or both, made by jointly fine-tuning two unimodal encoders "
        f"with jointune {__version__}. It gives a probability for each label: {', '.join(bundle.labels)}.",
        "",
        "## Encoders",
        "",
        "| modality | encoder | licence |",
        "| --- | --- | --- |",
        f"| text | {text['name']} | {text['licence']} |",
        f"| picture | {image['name']} | {image['licence']} |",
        "",
        f"Fusion: {bundle.fusion}. Texts are cut to {bundle.text.max_tokens} tokens, pictures brought to "
        f"{bundle.image.size[0]} x {bundle.image.size[1]} pixels.",
        "",
        "## Data",
        "",
        *_data_table(bundle),
        "",
        "## Scores",
        "",
    ]
    for part, scores in bundle.metrics.items():
        lines += [*_scores(part, scores), ""]
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
        "- Probabilities are the model's own and not calibrated; `ece` above says how far off they are.",
        "- Labels are opinions of annotators; the model repeats theirs and both encoders' biases.",
        "- Not to be used to judge persons.",
        "",
    ]
    return "\n".join(lines)


def _data_table(bundle: "Bundle") -> list[str]:
    parts = list(bundle.data)
    lines = ["| label | " + " | ".join(parts) + " |", "| --- |" + " ---: |" * len(parts)]
    lines += [
        f"| {label} | " + " | ".join(f"{bundle.data[part].get(label, 0):,}" for part in parts) + " |"
        for label in bundle.labels
    ]
    totals = (f"{sum(bundle.data[part].values()):,}" for part in parts)
    return [*lines, "| **posts** | " + " | ".join(totals) + " |"]


def _scores(part: str, scores: dict[str, Any]) -> list[str]:
    lines = [f"On the {scores['n']:,} {part} posts:", "", "| measure | value | 95 % interval |", "| --- | ---: | --- |"]
    for measure in ("accuracy", "macro_f1", "weighted_f1"):
        low, high = scores[f"{measure}_ci"]
        lines.append(f"| {measure.replace('_', ' ')} | {scores[measure]:.3f} | {low:.3f} to {high:.3f} |")
    lines.append(f"| log loss | {scores['log_loss']:.3f} | |")
    lines.append(f"| ece | {scores['ece']:.3f} | |")
    if scores["auroc"] is not None:
        lines.append(f"| auroc | {scores['auroc']:.3f} | |")
    lines += ["", "| label | precision | recall | F1 | posts |", "| --- | ---: | ---: | ---: | ---: |"]
    for label, row in scores["per_class"].items():
        lines.append(
            f"| {label} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} | {row['support']:,} |"
        )
    return lines
