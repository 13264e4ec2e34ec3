"""Posts whose label only their fields decide."""

import numpy as np
import pytest

from jointune import JointClassifier, PostsError, SettingsError
from jointune.export.exporter import export
from jointune.fusion.registry import NAMED
from jointune.inference.load import load_predictor

COLUMNS = {"number_columns": ["likes"], "category_columns": ["place"]}
TEXT_AND_IMAGE = ("dual", "single-stream")


def made_posts(images, count: int = 48) -> list[dict[str, object]]:
    """Every text and image has both labels equally often; likes and place together tell the label."""
    random = np.random.default_rng(0)
    posts = []
    for number in range(count):
        good = number % 2 == 0
        likes, place = random.integers(0, 40) + 60 * good, ("Rome" if good else "Oslo")
        image = number - number % 4 + (0, 2, 1, 3)[number % 4]  # as many yellow and navy ones of both labels
        post = {"text": f"lunch was {('good', 'bad')[number // 4 % 2]} {number}", "image": images / f"{image}.png"}
        post |= {"likes": int(likes), "place": place, "label": "up" if good else "down"}
        if number % 8 == 5:
            post["likes"] = None
        if number % 8 == 6:
            post["place"] = ""
        posts.append(post)
    return posts


@pytest.fixture(scope="module")
def posts(posts_csv) -> list[dict[str, object]]:
    return made_posts(posts_csv.parent)


@pytest.fixture(scope="module")
def trained(tiny_settings, posts) -> JointClassifier:
    return JointClassifier(**tiny_settings | COLUMNS | {"epochs": 4}).fit(posts, validation=0.25)


def test_it_learns_what_only_the_fields_decide(trained, tiny_settings, posts):
    assert trained.evaluate(posts).accuracy > 0.95
    alone = [{name: post[name] for name in ("likes", "place", "label")} | {"text": "today"} for post in posts]
    assert trained.evaluate(alone).accuracy > 0.95
    without = JointClassifier(**tiny_settings | {"epochs": 4}).fit(posts, validation=0.25)
    assert without.evaluate(posts).accuracy < 0.8


def test_a_bundle_and_an_export_give_the_same(trained, posts, tmp_path):
    tried = [*posts[:12], {"text": "good", "place": "Kyiv"}, {"text": "good", "likes": 3}, {"text": "sun"}]
    expected = trained.predict_proba(tried)
    trained.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(tried), expected)
    assert loaded.preprocessors_["fields"] == trained.preprocessors_["fields"]
    export(loaded, tmp_path / "export", posts=loaded.read(posts[:12]))
    predictor = load_predictor(tmp_path / "export")
    rows = [one.probabilities for one in predictor.stream(loaded.read(tried))]
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert predictor.columns.keys() == {"likes", "place"}


@pytest.mark.parametrize("fusion", sorted(NAMED.keys() - set(TEXT_AND_IMAGE)))
def test_a_fusion_takes_three_modalities(fusion, tiny_settings, posts):
    settings = tiny_settings | COLUMNS | {"fusion": fusion, "epochs": 1, "evaluations_per_epoch": 1, "probe": False}
    classifier = JointClassifier(**settings).fit(posts, validation=0.25)
    tried = [posts[0], {"text": "good"}, {"text": "good", "likes": 3}, {"image": posts[1]["image"], "place": "Oslo"}]
    scores = classifier.predict_proba(tried)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
    alone = np.concatenate([classifier.predict_proba([post]) for post in tried])
    np.testing.assert_allclose(scores, alone, atol=1e-5)
    other = [post | {"likes": 70, "place": "Kyiv"} for post in tried]
    assert (np.abs(classifier.predict_proba(other) - scores).max(1) > 1e-6).all(), "the fields are read"


@pytest.mark.parametrize("fusion", TEXT_AND_IMAGE)
def test_a_fusion_of_text_and_image_refuses_fields(fusion, tiny_settings, posts):
    with pytest.raises(SettingsError, match=f"{fusion}.* is for text and image, not for text, image, fields"):
        JointClassifier(**tiny_settings | COLUMNS | {"fusion": fusion}).fit(posts, validation=0.25)


def test_a_cell_that_is_no_number_stops_training_and_prediction(trained, tiny_settings, posts):
    wrong = [*posts[:-1], posts[-1] | {"likes": "many"}]
    with pytest.raises(PostsError, match=f"post {len(posts)}: likes: 'many' is no number"):
        JointClassifier(**tiny_settings | COLUMNS).fit(wrong, validation=0.25)
    with pytest.raises(PostsError, match="post 2: likes: 'many' is no number"):
        trained.predict_proba([posts[0], wrong[-1]])
