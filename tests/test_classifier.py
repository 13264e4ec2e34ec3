"""The face of the library, in scikit-learn's manner."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from conftest import SumFusion
from jointune import JointClassifier, Metrics, PostsError, read_posts
from jointune.fusion.registry import NAMED


@pytest.fixture(scope="module")
def trained(tiny_bundle):
    return JointClassifier.load(tiny_bundle)


def test_it_learns_what_the_posts_say(trained, posts_csv):
    test = read_posts(posts_csv, split_column="split").in_split("test")
    assert trained.evaluate(test).accuracy == 1.0
    assert trained.classes_.tolist() == ["negative", "positive"]


def test_a_loaded_bundle_predicts_what_the_trained_classifier_predicted(tiny_settings, posts_csv, tmp_path):
    posts = read_posts(posts_csv)
    classifier = JointClassifier(**tiny_settings).fit(posts)
    classifier.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(classifier.predict_proba(posts), loaded.predict_proba(posts))
    assert loaded.get_params()["head_lr"] == tiny_settings["head_lr"]
    loaded.save(tmp_path / "again")
    np.testing.assert_array_equal(
        loaded.predict_proba(posts), JointClassifier.load(tmp_path / "again").predict_proba(posts)
    )


def test_probabilities_have_a_row_a_post_and_sum_to_one(trained, posts_csv):
    posts = read_posts(posts_csv)
    rows = trained.predict_proba(posts)
    assert rows.shape == (48, 2)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    assert (trained.predict(posts) == trained.classes_[rows.argmax(1)]).all()


def test_it_may_abstain_where_it_is_not_sure_enough(trained, posts_csv, tmp_path):
    posts = read_posts(posts_csv)
    scores = trained.predict_proba(posts).max(1)
    trained.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    loaded.calibration_ = loaded.calibration_ | {"answered": [[0.0, 0.5, 1.0], [float(np.median(scores)), 0.9, 0.5]]}
    answers = loaded.predict(posts, abstain=0.8)
    assert ((answers == "unsure") == (scores < np.median(scores))).all()
    assert (answers == "unsure").any()
    assert "unsure" not in loaded.predict(posts, abstain=0.4)


def test_a_post_does_not_depend_on_its_neighbours(trained, posts_csv):
    posts = read_posts(posts_csv)
    together = trained.predict_proba(posts)
    alone = np.concatenate([trained.predict_proba(posts[i : i + 1]) for i in range(len(posts))])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(posts))
    np.testing.assert_allclose(trained.predict_proba(posts.take(order)), together[order], atol=1e-5)


def test_a_post_may_lack_its_text_or_its_picture(tiny_settings, posts_csv):
    posts = read_posts(posts_csv)
    trained = JointClassifier(
        **tiny_settings | {"probe": False, "epochs": 15, "modality_dropout": 0.6, "patience": 15}
    ).fit(posts)
    assert trained.evaluate(posts.without("text")).accuracy > 0.9
    assert trained.evaluate(posts.without("image")).accuracy > 0.9
    rows = [{"text": "good happy lunch"}, {"image": posts_csv.parent / "1.png"}, {"text": "bad awful", "image": None}]
    probabilities = trained.predict_proba(rows)
    assert np.isfinite(probabilities).all()
    assert trained.predict(rows).tolist() == ["positive", "negative", "negative"]
    mixed = trained.predict_proba([*rows, {"text": "good", "image": posts_csv.parent / "0.png"}])
    np.testing.assert_allclose(mixed[:3], probabilities, atol=1e-5)


def test_trained_on_posts_that_lack_one_or_the_other(tiny_settings, posts_csv):
    from jointune import Posts

    posts = read_posts(posts_csv)
    halves = Posts(post for i in range(len(posts)) for post in posts[i : i + 1].without(("text", "image")[i // 2 % 2]))
    classifier = JointClassifier(**tiny_settings | {"epochs": 15, "patience": 15}).fit(halves, validation=0.2)
    assert classifier.evaluate(halves).accuracy > 0.9


def test_text_alone_and_picture_alone_train_without_the_other_encoder(tiny_settings, posts_csv):
    posts = read_posts(posts_csv)
    for hidden in ("text", "image"):
        classifier = JointClassifier(**tiny_settings | {"epochs": 4}).fit(posts.without(hidden), validation=0.2)
        assert classifier.evaluate(posts.without(hidden)).accuracy > 0.9


def test_what_python_users_have_at_hand(trained, posts_csv):
    import pandas as pd
    from PIL import Image

    picture = posts_csv.parent / "0.png"
    frame = pd.DataFrame({"text": ["good", None], "image": [str(picture), str(picture)]})
    assert trained.predict(frame).shape == (2,)
    opened = Image.open(picture)
    kinds = [picture, str(picture), picture.read_bytes(), opened, np.asarray(opened.convert("RGB"))]
    rows = trained.predict_proba([{"text": "good", "image": kind} for kind in kinds])
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-6)
    assert trained.predict(posts_csv).shape == (48,)
    assert trained.predict([]).shape == (0,)
    with pytest.raises(PostsError, match="give a list"):
        trained.predict({"text": "good"})
    with pytest.raises(PostsError, match="post 1"):
        trained.predict(["good"])


def test_labels_may_be_given_apart(tiny_settings, posts_csv):
    posts = read_posts(posts_csv, label_column=None)
    numbers = [index % 2 for index in range(len(posts))]
    classifier = JointClassifier(**tiny_settings).fit(posts, numbers)
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.score(posts, numbers) > 0.9
    with pytest.raises(PostsError, match="3 labels for 48 posts"):
        classifier.fit(posts, [0, 1, 0])


def test_scikit_learn_can_clone_and_show_it(tiny_settings):
    classifier = JointClassifier(**tiny_settings)
    copy = clone(classifier)
    assert copy.get_params() == classifier.get_params()
    assert copy is not classifier
    assert "JointClassifier(" in repr(classifier)
    assert copy.set_params(epochs=9).epochs == 9


def test_a_pickled_one_predicts_the_same(trained, posts_csv):
    posts = read_posts(posts_csv)
    copy = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(copy.predict_proba(posts), trained.predict_proba(posts))


def test_cross_validation_of_scikit_learn(tiny_settings, posts_csv):
    from sklearn.model_selection import cross_val_score

    posts = read_posts(posts_csv)
    records = np.array(list(posts), dtype=object)
    scores = cross_val_score(JointClassifier(**tiny_settings), records, posts.labels, cv=2)
    assert scores.shape == (2,)
    assert (scores > 0.8).all()


def test_it_says_when_it_is_not_trained():
    with pytest.raises(NotFittedError, match="not trained"):
        JointClassifier().predict([{"text": "good"}])


@pytest.mark.parametrize("fusion", NAMED)
def test_every_fusion_learns_and_comes_back_from_its_bundle(fusion, tiny_settings, posts_csv, tmp_path):
    posts = read_posts(posts_csv)
    classifier = JointClassifier(**tiny_settings | {"fusion": fusion, "epochs": 6}).fit(posts, validation=0.2)
    assert classifier.evaluate(posts).accuracy > 0.9
    classifier.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict_proba(posts), classifier.predict_proba(posts))


def test_a_fusion_of_ones_own(tiny_settings, posts_csv, tmp_path):
    import torch

    from jointune import BundleError, SettingsError

    posts = read_posts(posts_csv)
    classifier = JointClassifier(**tiny_settings | {"fusion": SumFusion}).fit(posts)
    classifier.save(tmp_path / "bundle")
    with pytest.raises(BundleError, match="SumFusion"):
        JointClassifier.load(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle", fusion=SumFusion)
    np.testing.assert_array_equal(loaded.predict_proba(posts), classifier.predict_proba(posts))
    with pytest.raises(SettingsError, match="dim"):
        JointClassifier(**tiny_settings | {"fusion": lambda dims: torch.nn.Identity()}).fit(posts)


def test_the_validation_part_shares_nothing_with_training(tiny_settings, posts_csv):
    classifier = JointClassifier(**tiny_settings).fit(read_posts(posts_csv), validation=0.25)
    assert isinstance(classifier.metrics_, Metrics)
    assert sum(classifier.data_["validation"].values()) == 12
    assert sum(classifier.data_["training"].values()) == 36


def test_names_are_imported_when_they_are_used():
    import jointune

    assert set(jointune.__all__) <= set(dir(jointune))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jointune.nothing


def test_importing_is_light():
    import subprocess
    import sys

    code = (
        "import sys, jointune, jointune.cli.app\n"
        "print(*[m for m in ('torch', 'transformers', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_without_the_extra_each_command_names_it(posts_csv, tmp_path):
    """With only the distribution's own dependencies, posts can be checked; what needs torch says how to get it."""
    import subprocess
    import sys

    def run(*arguments):
        code = (
            "import sys; sys.argv[0] = 'jointune'\n"
            "for name in ('torch', 'transformers', 'accelerate', 'sklearn', 'pyarrow', 'safetensors'):\n"
            "    sys.modules[name] = None\n"
            "from jointune.cli.app import main; main()"
        )
        return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)

    checked = run("check", str(posts_csv))
    assert checked.returncode == 0, checked.stderr
    trained = run("train", str(posts_csv), "--out", str(tmp_path / "bundle"))
    assert trained.returncode == 2
    assert "pip install -c constraints.txt '.[train]'" in trained.stderr
    assert "Traceback" not in trained.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "room",
    ["data", "modalities", "evaluation", "output", "utils", "serve", "inference.predictor", "inference.onnx_backend"],
)
def test_rooms_without_torch_stay_so(room):
    """What a service without torch will need never imports it."""
    import subprocess
    import sys

    code = (
        "import sys, pkgutil, importlib; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        f"room = importlib.import_module('jointune.{room}')\n"
        "for module in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "    importlib.import_module(module.name)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_hub_is_asked_for_ids_and_given_whole_bundles(tiny_bundle, monkeypatch, tmp_path):
    import huggingface_hub

    uploaded: dict[str, object] = {}

    def upload_folder(*, repo_id, folder_path, commit_message):
        import shutil

        shutil.copytree(folder_path, tmp_path / "uploaded")
        uploaded.update(repo_id=repo_id, message=commit_message)

    # The hub cannot be reached here, and its client takes no transport.
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda repository, **_: f"hub/{repository}")
    monkeypatch.setattr(huggingface_hub, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, **_: str(tmp_path / "uploaded"))
    classifier = JointClassifier.load(tiny_bundle)
    assert classifier.push_to_hub("me/posts") == "hub/me/posts"
    assert uploaded["repo_id"] == "me/posts"
    again = JointClassifier.load("me/posts")
    np.testing.assert_array_equal(again.predict_proba([{"text": "good"}]), classifier.predict_proba([{"text": "good"}]))


def test_a_hub_id_that_is_not_to_be_had_is_named():
    from jointune import BundleError

    with pytest.raises(BundleError, match="nobody/nothing"):
        JointClassifier.load("nobody/nothing")


def test_a_test_post_that_cannot_be_scored_is_named_before_training(tiny_settings, posts_csv, tmp_path):
    """Under ``missing`` too: without its picture such a post has nothing left, and would stop the run at its end."""
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    test = [{"image": tmp_path / "bad.png", "label": "positive"}]
    for policy in ("error", "missing"):
        with pytest.raises(PostsError, match=r"bad\.png"):
            JointClassifier(**tiny_settings | {"on_bad_image": policy}).fit(
                read_posts(posts_csv), test=test, checkpoint=tmp_path / "state"
            )
        assert not (tmp_path / "state").exists()
