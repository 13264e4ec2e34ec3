"""A dual encoder with a prompt for each label, not trained."""

import numpy as np
import pytest
import torch
import transformers as t
from PIL import Image

from jointune import EncoderError, PostsError, SettingsError, read_posts
from jointune.baselines.clip_zero_shot import ClipZeroShot, prompts_of
from jointune.data.records import as_posts
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.evaluation.metrics import log_loss


@pytest.fixture(scope="module")
def fitted(tiny_clip, posts_csv) -> ClipZeroShot:
    prompts = {"negative": ["bad awful train", "sad"], "positive": "good happy lunch"}
    return ClipZeroShot(tiny_clip, prompts).fit(read_posts(posts_csv))


def test_it_learns_the_labels_and_nothing_else(dual, posts_csv):
    posts = read_posts(posts_csv)
    before = torch.get_rng_state()
    first = ClipZeroShot(dual).fit(posts, validation=0.1)
    assert first.classes_.tolist() == ["negative", "positive"]
    assert first.trained_parameters_ == 0
    rows = first.predict_proba(posts)
    assert torch.equal(before, torch.get_rng_state())
    assert rows.shape == (48, 2)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    other = ClipZeroShot(dual).fit(posts[:2])
    np.testing.assert_array_equal(other.predict_proba(posts), rows)
    assert first.predict(posts).tolist() == first.classes_[rows.argmax(1)].tolist()


def test_validation_posts_calibrate_it_and_change_no_answer(tiny_clip, posts_csv):
    posts = read_posts(posts_csv)
    prompts = {"negative": "bad awful train", "positive": "good happy lunch"}
    plain = ClipZeroShot(tiny_clip, prompts).fit(posts)
    assert plain.temperature_ == 1
    rows = plain.predict_proba(posts)
    # Labelled as it answers, it could be surer than the scale of random towers makes it.
    answered = as_posts(posts, plain.predict(posts))
    truth = rows.argmax(1)
    calibrated = ClipZeroShot(tiny_clip, prompts).fit(posts, validation=answered)
    assert calibrated.temperature_ == pytest.approx(calibrate(rows, truth).temperature)
    assert calibrated.temperature_ < 0.9
    changed = calibrated.predict_proba(posts)
    np.testing.assert_allclose(changed, at_temperature(rows, calibrated.temperature_), atol=1e-6)
    assert (changed.argmax(1) == rows.argmax(1)).all()
    assert log_loss(changed, truth) < log_loss(rows, truth)


def test_a_picture_alone_is_scored_as_the_checkpoint_scores_it(dual, posts_csv):
    """The logits of transformers' own model, for a picture that needs no resizing."""
    prompts = {"negative": "bad train", "positive": "a good day"}
    classifier = ClipZeroShot(dual, prompts).fit(read_posts(posts_csv))
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    tokens = classifier.text_.collate(classifier.text_.encode(list(prompts.values())))
    inputs = {name: torch.from_numpy(tokens[name]) for name in classifier.text_.inputs}
    processor = t.AutoImageProcessor.from_pretrained(dual, backend="pil")
    with torch.no_grad():
        theirs = t.AutoModel.from_pretrained(dual).eval()(**inputs, **processor(pixels, return_tensors="pt"))
    ours = classifier.predict_proba([{"image": Image.fromarray(pixels)}])
    np.testing.assert_allclose(ours, theirs.logits_per_image.softmax(-1), atol=1e-4)


def test_a_post_is_the_mean_of_what_it_has(fitted, posts_csv):
    posts = read_posts(posts_csv)[:6]
    predictor = fitted.model_
    with torch.no_grad():
        text = predictor._text(fitted._tokens([post.text for post in posts], fitted.text_))
    labels = predictor.labels
    alone = fitted.predict_proba(posts.without("image"))
    np.testing.assert_allclose(alone, (predictor.scale * text @ labels.T).softmax(-1), atol=1e-5)

    def margin(rows: np.ndarray) -> np.ndarray:
        return np.log(rows[:, 0] / rows[:, 1])

    # The mean has the sum of the two margins, over the length of the sum of both embeddings.
    both, picture = fitted.predict_proba(posts), fitted.predict_proba(posts.without("text"))
    length = (margin(alone) + margin(picture)) / margin(both)
    assert ((length > 0) & (length < 2.0001)).all()
    assert np.ptp(length) > 1e-3


def test_a_post_with_nothing_is_anything(fitted, posts_csv):
    posts = read_posts(posts_csv)[:3]
    np.testing.assert_array_equal(fitted.predict_proba(posts.without("text").without("image")), np.full((3, 2), 0.5))


def test_posts_do_not_influence_each_other(fitted, posts_csv):
    posts = read_posts(posts_csv)[:5]
    rows = [{"text": posts[0].text}, {"image": posts[1].image}, {"text": posts[2].text, "image": posts[2].image}]
    together = fitted.predict_proba(rows)
    np.testing.assert_allclose(together, np.concatenate([fitted.predict_proba([row]) for row in rows]), atol=1e-5)
    assert fitted.predict_proba([]).shape == (0, 2)


def test_a_label_that_its_own_prompt_repeats_wins(tiny_clip, posts_csv):
    prompts = {"negative": "bad awful train", "positive": "good happy lunch"}
    classifier = ClipZeroShot(tiny_clip, prompts).fit(read_posts(posts_csv))
    assert classifier.predict([{"text": text} for text in prompts.values()]).tolist() == list(prompts)


def test_prompts():
    assert prompts_of(["a", "b"], "so {label} {label}") == [["so a a"], ["so b b"]]
    assert prompts_of(["a", "b"], {"b": ["x", "y"], "a": "{label}", "c": "z"}) == [["{label}"], ["x", "y"]]
    with pytest.raises(SettingsError, match=r"needs \{label\}"):
        prompts_of(["a"], "a post")
    with pytest.raises(SettingsError, match="none for the label 'b'; there are some for 'a', 'B'"):
        prompts_of(["a", "b"], {"a": "x", "B": "y"})
    with pytest.raises(SettingsError, match="none for the labels 'a', 'b'; there are some for 'b'"):
        prompts_of(["a", "b"], {"b": []})


def test_what_cannot_be_fitted_says_why(tiny_clip, tiny_text, posts_csv):
    posts = read_posts(posts_csv)
    with pytest.raises(PostsError, match="no post has a label"):
        ClipZeroShot(tiny_clip).fit(read_posts(posts_csv, label_column=None))
    with pytest.raises(SettingsError, match="none for the label 'negative'"):
        ClipZeroShot(tiny_clip, {"positive": "good"}).fit(posts)
    with pytest.raises(SettingsError, match="on_bad_image"):
        ClipZeroShot(tiny_clip, on_bad_image="hide").fit(posts)
    with pytest.raises(EncoderError):
        ClipZeroShot(tiny_text).fit(posts)


def test_a_bad_picture_stops_or_is_missing(tiny_clip, posts_csv, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    rows = [{"text": "good", "image": bad}]
    with pytest.raises(PostsError, match=r"bad\.png"):
        ClipZeroShot(tiny_clip).fit(read_posts(posts_csv)).predict_proba(rows)
    lenient = ClipZeroShot(tiny_clip, on_bad_image="missing").fit(read_posts(posts_csv))
    np.testing.assert_array_equal(lenient.predict_proba(rows), lenient.predict_proba([{"text": "good"}]))
    lenient.predict_proba(rows)
    assert len(lenient.problems_) == 1
