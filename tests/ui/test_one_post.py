"""One post, in plain words."""

from dataclasses import replace

import numpy as np
import pytest

from conftest import draw
from helpers.made_predictor import make_predictor
from jointune.data.post import Post
from jointune.targets.single_label import SingleLabel
from jointune.ui.one_post import judge, why


def answering(*row: float, by_presence=None, least: float = 0.0):
    """A predictor that always gives these probabilities."""
    return replace(
        make_predictor(),
        probabilities=lambda batches, count: np.tile(np.float32(row), (count, 1)),
        about={"calibration": {"temperature": 1.0, "by_presence": by_presence or {}}},
        least_confidence=least,
    )


@pytest.fixture
def picture(tmp_path):
    draw(tmp_path / "red.png", "red", 1)
    return tmp_path / "red.png"


def test_a_post_with_both_gets_the_numbers_of_predict(picture):
    predictor = make_predictor()
    verdict = judge(predictor, "good lunch", str(picture))
    assert list(verdict.probabilities) == predictor.labels
    assert sum(verdict.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert not any(sentence.startswith("No ") for sentence in verdict.sentences)


def test_it_states_no_frequency_that_was_not_measured(picture):
    for predictor in (answering(0.1, 0.2, 0.7), replace(answering(0.1, 0.2, 0.7), about={"calibration": None})):
        assert judge(predictor, "x", picture).sentences == ["positive, with 70% confidence."]


def test_it_says_how_often_such_answers_were_right_on_enough_posts_that_held_the_same(picture):
    measured = {"text+image": [(0.5, 0.6, 10, 40), (0.6, 0.7, 21, 30), (0.7, 0.8, 28, 29)], "text": [(0.6, 0.7, 1, 2)]}
    predictor = answering(0.1, 0.25, 0.65, by_presence=measured)
    assert judge(predictor, "x", picture).sentences == [
        "positive, with 65% confidence.",
        "Of 30 validation posts with text and picture and a confidence from 60% to 70%, 21 were answered rightly.",
    ]
    # Too few posts without a picture, none without a text, and too few of that confidence.
    assert judge(predictor, "x", None).sentences[1:] == ["No picture: judged by the text alone."]
    assert judge(predictor, None, picture).sentences[1:] == ["No text: judged by the picture alone."]
    assert len(judge(answering(0.1, 0.15, 0.75, by_presence=measured), "x", picture).sentences) == 1


def test_it_says_when_the_model_is_unsure(picture):
    unsure = judge(answering(0.1, 0.2, 0.7, least=0.75), "x", picture)
    assert unsure.sentences[0] == "The model is unsure."
    assert "positive, with 70.0% confidence; it answers from 75.0% on" in unsure.sentences[1]
    assert unsure.probabilities["positive"] == pytest.approx(0.7)


def test_a_label_named_unsure_is_a_label(picture):
    predictor = replace(answering(0.1, 0.2, 0.7), target=SingleLabel(["a", "b", "unsure"]))
    assert judge(predictor, "x", picture).sentences[0] == "unsure, with 70% confidence."


def test_it_says_what_is_missing(picture):
    assert judge(make_predictor(), "good", None).sentences[-1] == "No picture: judged by the text alone."
    assert judge(make_predictor(), " \n", picture).sentences[-1] == "No text: judged by the picture alone."
    nothing = judge(make_predictor(), " ", None)
    assert "nothing to judge" in nothing.sentences[0]
    assert not nothing.probabilities


def test_a_picture_that_is_none_is_said_plainly(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    verdict = judge(make_predictor(), "good", tmp_path / "a.png")
    assert verdict.sentences[0].startswith("This picture cannot be used: not a picture in a known format")
    assert str(tmp_path) not in verdict.sentences[0]
    assert not verdict.probabilities


def test_several_pictures_are_judged_together(picture, tmp_path):
    seen = []
    predictor = make_predictor()

    def probabilities(batches, count):
        batches = list(batches)
        seen.extend(len(batch.inputs["image"]["pixels"]) for batch in batches)
        return np.full((count, 3), 1 / 3, dtype=np.float32)

    predictor = replace(predictor, probabilities=probabilities)
    assert "Of 6 pictures, 4 were looked at." in judge(predictor, "x", picture, None, [picture] * 5).sentences
    assert seen == [4]
    (tmp_path / "broken.png").write_bytes(b"broken")
    (refused,) = judge(predictor, "x", picture, None, [tmp_path / "broken.png"]).sentences
    assert refused.startswith("This picture cannot be used (picture 2 of 2, ")


def test_why_is_a_page_in_a_frame_that_runs_nothing(picture):
    frame = why(make_predictor(), Post("good <b>lunch</b>", picture))
    assert frame.startswith("<iframe")
    assert " sandbox " in frame
    assert frame.count("<") == 2, "what it holds is escaped"
    assert "&lt;article" in frame
    assert why(make_predictor(), Post()) == ""
