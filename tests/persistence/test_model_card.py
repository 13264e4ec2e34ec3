"""The model card says what a bundle was made of and how good it is."""

import re

import pytest

from jointune import BundleError, JointClassifier, read_posts
from jointune.persistence.model_card import model_card
from jointune.targets.single_label import SingleLabel


def test_the_card_holds_data_encoders_scores_use_and_limits(tiny_bundle, tiny_settings):
    card = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    metrics = JointClassifier.load(tiny_bundle).loaded_metrics_["validation"]
    for part in ("## Encoders", "## Data", "## Scores", "## Intended use", "## Limits"):
        assert part in card
    assert f"| text | {tiny_settings['text_encoder']} | not stated in its folder |" in card
    assert "| positive | 16 | 4 |" in card
    assert "## Calibration" in card
    assert "| expected calibration error |" in card
    low, high = metrics["accuracy_ci"]
    assert f"| accuracy | {metrics['accuracy']:.3f} | {low:.3f} to {high:.3f} |" in card


def test_the_card_says_what_training_chose(parts, tiny_settings, tmp_path):
    said = {0: "chose the linear probe alone", 1: "chose the weights after 1 epochs"}
    for epochs, says in said.items():
        settings = {"epochs": epochs, "probe": True, "prefer_last": 1e9}
        classifier = JointClassifier(**tiny_settings | settings).fit(parts[0], validation=parts[1])
        classifier.save(tmp_path / str(epochs))
        assert says in (tmp_path / str(epochs) / "README.md").read_text(encoding="utf-8")
        assert f"inverse strength {classifier.log_[0]['probe_strength']:.3g}" in classifier.predictor().card
    (tmp_path / "0" / "training_log.jsonl").write_text('{"probe_strength": "strong"}\n')
    with pytest.raises(BundleError, match="probe_strength must be"):
        JointClassifier.load(tmp_path / "0")


def test_the_card_gives_intervals_of_single_labels_where_the_metrics_have_them(tiny_bundle):
    loaded = JointClassifier.load(tiny_bundle).loaded_metrics_["validation"]
    row = loaded["per_class"]["positive"]
    low, high = row["recall_ci"]
    card = (tiny_bundle / "README.md").read_text(encoding="utf-8")
    assert f"{row['recall']:.3f} ({low:.3f} to {high:.3f})" in card
    # Bundles of earlier versions do not have them.
    older = {label: {name: row[name] for name in ("precision", "recall", "f1", "support")} for label in ("a", "b")}
    encoder = {"name": "tiny", "licence": "none"}
    encoders = {"text": encoder, "image": encoder}
    written = model_card(
        "old", SingleLabel(["a", "b"]), encoders, "", "concat", {}, {"validation": loaded | {"per_class": older}}
    )
    assert f"| a | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |" in written


def test_labels_that_look_like_markdown_do_not_break_its_tables(tiny_settings, posts_csv, tmp_path):
    posts = read_posts(posts_csv)
    labels = ["yes|no", "two\nlines"] * (len(posts) // 2)
    JointClassifier(**tiny_settings | {"epochs": 1}).fit(posts, labels).save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    data = card.split("## Data")[1].split("## Scores")[0]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in data.splitlines() if line.startswith("|")} == {4}
    assert r"yes\|no" in data
    assert "two lines" in data


CALIBRATION = {
    "temperature": 1.6,
    "log_loss": [0.3, 0.25],
    "ece": [0.1, 0.05],
    "reliability": [[[0.9, 0.8, 20]], [[0.8, 0.8, 20]]],
    "answered": [[0.5, 0.8, 1.0]],
}
FITTED = CALIBRATION | {"fitted": 1.6, "cross_validated": 0.25}


@pytest.mark.parametrize(
    ("calibration", "says"),
    [
        (FITTED, ["divided by a temperature of 1.60", "log loss 0.300 before, 0.250 after, cross-validated"]),
        (
            FITTED | {"temperature": 1.0, "cross_validated": 0.31},
            ["No temperature is applied: that of 1.60", "does not help", "0.300 before, 0.310 after, cross-validated"],
        ),
        (FITTED | {"temperature": 1.0, "cross_validated": None}, ["No temperature is applied: there are too few"]),
        (CALIBRATION, ["divided by a temperature of 1.60, fitted on the validation posts."]),  # of an older bundle
    ],
)
def test_the_card_says_whether_a_temperature_is_applied_and_why(calibration, says):
    encoders = {modality: {"name": "tiny", "licence": "MIT"} for modality in ("text", "image")}
    card = model_card("model", SingleLabel(["a", "b"]), encoders, "", "gated", {}, {}, calibration)
    assert not [part for part in says if part not in card], card
