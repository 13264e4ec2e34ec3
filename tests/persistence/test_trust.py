"""What is to be known before scores are trusted: said by ``fit`` and ``evaluate``, by the commands, on the card."""

import warnings
from dataclasses import replace

import pandas as pd
import pytest

from conftest import WORDS, write_rows
from jointune import BundleError, JointClassifier, Post, Posts, PostsError, read_posts
from jointune.data.label_checks import class_numbers
from jointune.errors import JointuneWarning
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.evaluation.metrics import log_loss


@pytest.fixture
def quick(tiny_settings):
    """Settings that train the probe alone."""
    return tiny_settings | {"epochs": 0}


@pytest.fixture
def frame(posts_csv):
    found = pd.read_csv(posts_csv)
    return found.assign(image=[str(posts_csv.parent / name) for name in found["image"]])


def notes_of(run):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [str(warning.message) for warning in caught if warning.category is JointuneWarning]


@pytest.mark.parametrize("kind", ["frame", "posts", "path"])
def test_posts_that_carry_a_split_are_divided_by_it(quick, frame, posts_csv, kind):
    given = {"frame": frame, "posts": read_posts(posts_csv, split_column="split"), "path": posts_csv}[kind]
    classifier = JointClassifier(**quick).fit(given)
    assert classifier.data_ == {
        "training": {"positive": 16, "negative": 16},
        "validation": {"positive": 4, "negative": 4},
        "test": {"positive": 4, "negative": 4},
    }
    assert classifier.test_metrics_.n == 8
    assert not [note for note in classifier.notes_ if "split" in note or "learned from" in note]


def test_an_explicit_validation_wins_over_the_split_with_a_note(quick, frame):
    classifier = JointClassifier(**quick)
    with pytest.warns(JointuneWarning, match="the split that the posts carry is not used.*8 validation, 8 test"):
        classifier.fit(frame, validation=0.25)
    assert sum(classifier.data_["training"].values()) == 36
    assert classifier.test_metrics_ is None


def test_a_split_that_some_posts_lack_is_told_before_any_training(quick, frame):
    frame.loc[3, "split"] = None
    with pytest.raises(PostsError, match=r"post 4: split: the split is empty"):
        JointClassifier(**quick).fit(frame)


def few(counts):
    return Posts(
        Post(f"{WORDS[number % 10]} {label} {number}", label=label)
        for label, count in counts.items()
        for number in range(count)
    )


def test_few_validation_posts_are_told_in_fit_and_on_the_card(quick, tmp_path):
    classifier = JointClassifier(**quick)
    with pytest.warns(JointuneWarning, match=r"only 1 validation post .*off by 98 points; the choice between weights"):
        classifier.fit(few({"good": 5, "bad": 5}))
    assert any("no validation post is labelled" in note for note in classifier.notes_)
    classifier.save(tmp_path / "bundle")
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "- only 1 validation post" in card
    assert "On the 1 validation post, none of them labelled" in card
    assert "there are too few validation posts to tell whether one would help" in card
    assert JointClassifier.load(tmp_path / "bundle").notes_ == classifier.notes_


def test_a_rare_label_is_validated_where_the_fraction_allows(quick):
    classifier = JointClassifier(**quick)
    with pytest.warns(JointuneWarning, match="only 7 validation posts \\('rare' 1, 'usual' 6\\)"):
        classifier.fit(few({"usual": 57, "rare": 3}))
    assert classifier.data_["validation"] == {"usual": 6, "rare": 1}


def test_a_label_that_no_validation_or_test_post_has_is_named(quick, jointune, tmp_path):
    rows = [{"text": post.text, "label": post.label} for post in few({"usual": 57, "rare": 3})]
    learn = write_rows(tmp_path / "learn.csv", rows)
    held = write_rows(tmp_path / "held.csv", [{"text": f"rain {k}", "label": "usual"} for k in range(30)])
    encoders = (f"--text-encoder={quick['text_encoder']}", f"--image-encoder={quick['image_encoder']}")
    code, said = jointune(
        "train", learn, "--validation", held, "--image-column=", "--out", tmp_path / "b", "--epochs=0", *encoders
    )
    assert code == 0, said
    assert "note: no validation post is labelled 'rare': scores on them, macro F1 among them, say nothing of it" in said
    assert "on 30 posts, none of them labelled 'rare'" in said
    tested = Posts(Post(f"sun {k}", label="usual") for k in range(30))
    with pytest.warns(JointuneWarning, match="no test post is labelled 'rare'"):
        JointClassifier(**quick).fit(few({"usual": 57, "rare": 9}), validation=0.5, test=tested)


def test_enough_posts_of_each_label_that_are_new_give_no_note(quick):
    posts = few({"good": 100, "bad": 100})
    classifier = JointClassifier(**quick)
    made = notes_of(lambda: classifier.fit(posts, validation=0.2))
    assert made == classifier.notes_ == []
    fresh = Posts(replace(post, text=f"so {post.text} it was") for post in posts)
    assert not [note for note in notes_of(lambda: classifier.evaluate(fresh)) if "learned from" in note]


def test_posts_that_were_learned_from_are_told_by_evaluate(tiny_bundle, parts, jointune, posts_csv, tmp_path):
    learned, checked, tested = parts
    loaded = JointClassifier.load(tiny_bundle)
    assert notes_of(lambda: loaded.evaluate(tested)) == []
    (note,) = notes_of(lambda: loaded.evaluate(Posts([*learned, *checked, *tested])))
    accuracy = loaded.evaluate(tested).accuracy
    assert note.startswith("of the 48 posts, 32 were learned from, 8 were validated on: scores on them flatter")
    assert f"accuracy is {accuracy:.3f}" in note
    assert loaded.notes_ == JointClassifier.load(tiny_bundle).notes_

    code, said = jointune("evaluate", tiny_bundle, posts_csv)
    assert (code, f"note: {note}" in said) == (0, True), said
    code, said = jointune("evaluate", tiny_bundle, posts_csv, "--split", "test")
    assert (code, "note:" in said) == (0, False), said

    loaded.save(tmp_path / "again")
    assert notes_of(lambda: JointClassifier.load(tmp_path / "again").evaluate(learned)) == [
        "of the 32 posts, 32 were learned from: scores on them flatter; none of them is new to the model"
    ]
    digests = tmp_path / "again" / "learned_posts.json"
    assert not [post.text for post in learned if post.text in digests.read_text()]
    digests.write_text("[]")
    with pytest.raises(BundleError, match=r"learned_posts\.json is not readable"):
        JointClassifier.load(tmp_path / "again")
    digests.unlink()  # as in a bundle of an earlier version, or where its owner would rather not tell
    assert notes_of(lambda: JointClassifier.load(tmp_path / "again").evaluate(learned)) == []


def test_test_and_validation_posts_that_share_with_training_are_told(quick, parts):
    learned, checked, tested = parts
    classifier = JointClassifier(**quick)
    twin = replace(tested[0], text=learned[0].text)
    made = notes_of(
        lambda: classifier.fit(learned, validation=Posts([*checked, learned[0]]), test=Posts([*tested, twin]))
    )
    assert [note for note in made if "of the 9 validation posts, 1 was learned from" in note], made
    assert [note for note in made if "of the 9 test posts, 1 was similar to such posts" in note], made
    assert classifier.notes_ == made


def test_answers_that_collapse_are_told_by_fit_and_evaluate(quick):
    """Texts of unknown words tell nothing, so that the frequent label gets all answers."""
    posts = Posts(Post(f"zzz{number}", label="usual" if number % 3 else "rare") for number in range(180))
    classifier = JointClassifier(**quick)
    with pytest.warns(JointuneWarning, match="'usual', gets 30 of the 30 answers on validation posts"):
        classifier.fit(posts[:150], validation=0.2)
    assert [note for note in classifier.notes_ if "its share of these posts is 67 %: training with balanced" in note]
    with pytest.warns(JointuneWarning, match=r"'usual', gets 30 of the 30 answers on posts \(100 %\)"):
        classifier.evaluate(posts[150:])


def test_the_stored_temperature_helps_on_the_validation_posts_or_is_one(tiny_settings, parts):
    learned, checked, _ = parts
    classifier = JointClassifier(**tiny_settings).fit(learned, validation=checked)
    temperature, (before, after) = classifier.calibration_["temperature"], classifier.calibration_["log_loss"]
    assert temperature == 1 or after < before
    assert float(classifier.model_.temperature) == pytest.approx(temperature)
    truth = class_numbers(checked, classifier.classes_.tolist())
    scores = classifier.predict_proba(checked)
    assert log_loss(at_temperature(scores, 1 / temperature), truth) == pytest.approx(before, abs=1e-4)
    assert calibrate(at_temperature(scores, 1 / temperature), truth).temperature == pytest.approx(temperature, rel=0.01)


def test_the_log_says_in_which_precision_validation_was(tiny_settings, parts, capsys):
    learned, checked, _ = parts
    classifier = JointClassifier(**tiny_settings | {"precision": "bf16", "progress": True})
    classifier.fit(learned, validation=checked)
    assert {entry["precision"] for entry in classifier.log_} == {"bf16"}
    assert "validation in bf16: accuracy" in capsys.readouterr().err
