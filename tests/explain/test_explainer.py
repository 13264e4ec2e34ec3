"""Explanations through a predictor alone: what was planted is found, and what is removed changes the answer."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import BPE

from helpers.planted import patch, planted
from jointune import Post, PostsError, SettingsError
from jointune.explain.explainer import Explainer
from jointune.output.pages.explanation_page import render

WORDS = ["lunch", "train", "sun", "rain", "sad"]


def explained(post, pixels=None, predictor=None, **arguments):
    images = [] if pixels is None else [pixels]
    return Explainer(predictor or planted(), **arguments).explain_one(post, images)


def positive(one):
    return next(of for of in one.attributions if one.name(of.column) == "positive")


@given(st.permutations([*WORDS, "good"]), st.integers(0, 6), st.integers(0, 6))
def test_the_planted_word_and_patch_are_on_top(words, row, column):
    one = explained(Post(" ".join(words), b"an image"), patch(row, column))
    assert one.target.answer(one.answer)[0] == "positive"
    adds = positive(one).parts
    assert one.parts["text"].names[int(adds["text"].argmax())] == "good"
    assert int(adds["image"].argmax()) == 7 * row + column
    assert np.count_nonzero(adds["text"]) == np.count_nonzero(adds["image"]) == 1


@given(st.permutations([*WORDS, "good"]), st.tuples(st.floats(0, 4), st.floats(0, 4)))
def test_what_is_removed_changes_the_answer_and_none_of_it_could_stay(words, weights):
    predictor = planted(weights=weights)
    text = " ".join(words)
    one = explained(Post(text, b"an image"), patch(3, 3), predictor)
    if one.removal is None:
        assert one.target.answer(one.answer)[0] != "positive", "one removed part is enough to change it"
        return
    answer = one.target.answer(one.answer)[0]
    hidden = set(one.removal.parts.get("text", ()))
    left = " ".join(word for number, word in enumerate(one.parts["text"].names) if number not in hidden)
    pixels = patch(3, 3)
    for region in one.removal.parts.get("image", ()):
        pixels[one.parts["image"].index[0] == region] = predictor.image.mean_colour
    rows = predictor.rows([Post(left or None, b"an image")], [[pixels]])
    row = predictor.score_rows(rows)[0]
    assert one.target.answer(row)[0] != answer
    assert one.target.answer(one.removal.answer)[0] != answer
    assert sum(map(len, one.removal.parts.values())) <= 2


def test_shares_start_at_the_training_posts_and_add_up_to_the_answer():
    one = explained(Post("a good sun", b"an image"), patch(0, 0))
    np.testing.assert_allclose(one.shares.base, [0.25, 0.5, 0.25])
    np.testing.assert_allclose(sum(one.shares.values.values()), one.answer - one.shares.base, atol=1e-12)
    assert one.sentence.startswith("Text and image agree: text alone says positive (0.79), image alone positive (0.79)")


def test_modalities_that_disagree_are_named():
    predictor = planted(weights=(3, -3))
    one = explained(Post("good", b"an image"), patch(1, 1), predictor)
    assert "Text and image disagree: text alone says positive" in one.sentence
    assert "image alone negative" in one.sentence


@pytest.mark.parametrize(
    ("post", "pixels", "said"), [(Post("good"), None, "only a text"), (Post(image=b"x"), patch(0, 0), "only an image")]
)
def test_a_post_of_one_modality(post, pixels, said):
    one = explained(post, pixels)
    assert said in one.sentence
    assert list(one.parts) == list(one.shares.names)
    np.testing.assert_allclose(sum(one.shares.values.values()), one.answer - one.shares.base, atol=1e-12)


def test_another_label_is_explained_on_request():
    one = explained(Post("good sun"), label=["negative"])
    assert [one.name(of.column) for of in one.attributions] == ["positive", "negative"]
    first, other = (of.parts["text"][0] for of in one.attributions)
    assert first > 0 > other


def test_models_without_modality_dropout_are_marked():
    about = {"data": {"training": {"negative": 1, "neutral": 1, "positive": 1}}, "settings": {"modality_dropout": 0.0}}
    one = explained(Post("good", b"x"), patch(0, 0), planted(about=about))
    assert "modality_dropout=0" in one.notes[0]
    assert explained(Post("good", b"x"), patch(0, 0)).notes == []


def test_without_counts_of_training_posts_the_model_itself_is_asked():
    one = explained(Post("good", b"x"), patch(0, 0), planted(about={}))
    assert not one.shares.from_training
    np.testing.assert_allclose(one.shares.base.sum(), 1, atol=1e-6)


def test_words_are_the_tokenizers_and_an_empty_rest_is_a_missing_text():
    predictor = planted()
    row = predictor.text.rows([Post("good, bad")])[0]
    parts = predictor.text.parts(Post("good, bad"), row)
    assert parts.names == ["good", ",", "bad"]
    assert [parts.texts[segment][start:end] for segment, start, end in parts.places] == list(parts.names)
    assert parts.remove(np.array([True, True, False])).ids.tolist() == row.ids[2:].tolist()
    assert parts.remove(np.ones(3, dtype=bool)) is None


def test_a_run_without_spaces_is_divided_by_its_tokens():
    predictor = planted()
    letters = {letter: number for number, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    tokenizer = Tokenizer(BPE(letters, []))
    text = replace(predictor.text, tokenizer=tokenizer, max_tokens=64)
    post = Post("abc" * 10)
    parts = text.parts(post, text.rows([post])[0])
    assert len(parts) == 30


def test_posts_are_read_with_their_images_and_bad_ones_are_told(tmp_path):
    Image.fromarray(patch(2, 5)).resize((70, 70), 0).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    posts = [Post("sun", tmp_path / "a.png", where="row 1"), Post("good", tmp_path / "b.png", where="row 2")]
    predictor = planted()
    with pytest.raises(PostsError, match="row 2"):
        list(Explainer(predictor).explain(posts))
    problems = []
    assert len(list(Explainer(predictor).explain(posts, "skip", problems))) == 1
    assert len(problems) == 1
    first, second = Explainer(predictor).explain(posts, "missing")
    assert set(first.parts) == {"text", "image"}
    assert set(second.parts) == {"text"}


@pytest.mark.parametrize(
    ("arguments", "said"), [({"label": ["nice"]}, "no such label"), ({"method": "guess"}, "occlusion, gradients")]
)
def test_what_cannot_be_explained_is_refused(arguments, said):
    with pytest.raises(SettingsError, match=said):
        Explainer(planted(), **arguments)


def test_an_explanation_as_json():
    one = explained(Post("good sun", b"x"), patch(0, 0))
    values = json.loads(json.dumps(one.to_dict()))
    assert values["answer"]["label"] == "positive"
    assert values["parts"]["text"][0]["word"] == "good"
    assert set(values["modalities"]["shares"]) == {"text", "image"}
    assert values["changes"]["answer"]["label"] != "positive"


def test_each_of_several_images_has_regions():
    plain = np.full((35, 35, 3), 40, dtype=np.uint8)
    post = Post("sun", [b"one", b"two"])
    one = Explainer(planted(weights=(3, 6))).explain_one(post, [plain, patch(2, 4)])
    assert len(one.parts["image"]) == 98
    top = int(positive(one).parts["image"].argmax())
    assert one.parts["image"].names[top] == "picture 2, row 3, column 5"
    assert one.parts["image"].places[top][:1] == (1,)
    page = render([one], "occlusion", "a model")
    assert page.count("as the model sees it") == 2
    assert page.count('class="heat"') == 2


def test_the_text_in_an_image_is_hidden_with_it():
    made = planted()
    reading = replace(made.text, with_image_text=True)
    predictor = replace(made, preprocessors={**made.preprocessors, "text": reading})
    one = Explainer(predictor).explain_one(Post(None, b"x", image_text="good"), [patch(0, 0)])
    assert one.shares.names == ("image",)
    assert one.parts["text"].names == ["good"]
    both = Explainer(predictor).explain_one(Post("sun", b"x", image_text="good"), [patch(0, 0)])
    alone = {name: both.shares.alone(name)[2] for name in both.shares.names}
    assert alone["image"] == pytest.approx(both.answer[2])
    assert alone["text"] < both.answer[2]
