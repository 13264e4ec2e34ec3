"""Text in pictures, from training to the bundle and back."""

import json
import sys
import time

import numpy as np
import pytest
from PIL import Image

from conftest import SumFusion, write_rows
from helpers.fake_ocr import install
from jointune import JointClassifier, Post, Posts, read_posts
from jointune.errors import EncoderError, MissingExtraError, PostsError


def colours(number):
    """Colours that say nothing of the label."""
    return (7 * number % 256, 90, 120)


@pytest.fixture
def memes(tmp_path):
    """48 posts whose label only the text in the picture tells; every third has no text of its own."""
    rows = []
    for number in range(48):
        Image.new("RGB", (16, 16), colours(number)).save(tmp_path / f"{number}.png")
        rows.append(
            {
                "text": "" if number % 3 == 0 else "the rain today",
                "image": f"{number}.png",
                "label": ("good", "bad")[number % 2],
                "split": ("train", "train", "validation", "test")[number // 2 % 4],
            }
        )
    return write_rows(tmp_path / "memes.csv", rows)


@pytest.fixture
def fake(monkeypatch, tmp_path):
    said = {colours(number): ("good happy", "bad awful")[number % 2] for number in range(48)}
    return install(monkeypatch, tmp_path / "cache", lambda picture: said.get(picture.getpixel((0, 0)), ""))


@pytest.fixture
def settings(tiny_settings):
    return tiny_settings | {"read_image_text": True, "epochs": 12, "patience": 12, "modality_dropout": 0.0}


def parts(memes):
    posts = read_posts(memes, split_column="split")
    return [posts.in_split(split) for split in ("train", "validation", "test")]


def test_it_learns_what_only_the_pictures_say(settings, memes, fake, tmp_path):
    learned, held, test = parts(memes)
    classifier = JointClassifier(**settings).fit(learned, validation=held, test=test)
    assert fake.pictures == 48  # each once, those of the test posts before training
    assert classifier.test_metrics_.accuracy == 1.0
    assert classifier.evaluate(test.without("text")).accuracy == 1.0
    assert classifier.evaluate(test.without("image")).accuracy < 1.0
    assert fake.pictures == 48

    classifier.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    assert loaded.read_image_text
    np.testing.assert_array_equal(loaded.predict_proba(test), classifier.predict_proba(test))
    scored = list(loaded.score_stream(iter(test)))
    mood = {"good": "happy", "bad": "awful"}
    assert [entry.post.image_text for entry in scored] == [f"{post.label} {mood[post.label]}" for post in test]


def test_a_post_does_not_depend_on_its_neighbours(settings, memes, fake):
    learned, held, test = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1}).fit(learned, validation=held)
    together = classifier.predict_proba(test)
    alone = np.concatenate([classifier.predict_proba(test[i : i + 1]) for i in range(len(test))])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_where_no_picture_holds_text_nothing_changes(tiny_settings, posts_csv, monkeypatch, tmp_path):
    install(monkeypatch, tmp_path / "cache", lambda picture: "")
    posts = read_posts(posts_csv)
    without, with_reading = (
        JointClassifier(**tiny_settings | {"read_image_text": use}).fit(posts, validation=0.2) for use in (False, True)
    )
    np.testing.assert_array_equal(without.predict_proba(posts), with_reading.predict_proba(posts))


def test_without_the_setting_texts_in_pictures_are_not_used(tiny_bundle, posts_csv, fake):
    from dataclasses import replace

    classifier = JointClassifier.load(tiny_bundle)
    posts = read_posts(posts_csv)
    carried = Posts(replace(post, image_text="bad awful") for post in posts)
    np.testing.assert_array_equal(classifier.predict_proba(posts), classifier.predict_proba(carried))
    assert fake.pictures == 0


def test_a_bundle_from_before_is_read_as_ever(tiny_bundle, tmp_path, posts_csv):
    import shutil

    from jointune.utils.files import sha256

    old = tmp_path / "old"
    shutil.copytree(tiny_bundle, old)
    config = json.loads((old / "config.json").read_text())
    for name in ("read_image_text", "text_column", "image_column", "label_column"):
        del config["settings"][name]
    for name in ("notes", "label_dtype", "text_fit"):
        del config[name]
    config["format"] = 1
    for name in ("prompt", "lowercase"):
        del config["text_preprocessing"][name]
    (old / "config.json").write_text(json.dumps(config))
    pictures = json.loads((old / "preprocessor_config.json").read_text())
    del pictures["bgr"]
    (old / "preprocessor_config.json").write_text(json.dumps(pictures))
    digests = {name: sha256(old / name) for name in ("config.json", "preprocessor_config.json")}
    manifest = json.loads((old / "manifest.json").read_text())
    (old / "manifest.json").write_text(json.dumps(manifest | digests))
    loaded = JointClassifier.load(old)
    assert loaded.read_image_text is False
    posts = read_posts(posts_csv)
    np.testing.assert_array_equal(loaded.predict_proba(posts), JointClassifier.load(tiny_bundle).predict_proba(posts))


@pytest.mark.parametrize("policy", ["error", "skip", "missing"])
def test_a_bad_picture_is_told_once_and_as_ever(settings, memes, fake, policy):
    learned, held, _ = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1, "on_bad_image": policy})
    (memes.parent / "2.png").write_bytes(b"not a picture")
    if policy == "error":
        with pytest.raises(PostsError, match=r"2\.png: not a picture"):
            classifier.fit(learned, validation=held)
        assert fake.pictures == 0  # reading takes long: it begins when nothing else can fail
        return
    classifier.fit(learned, validation=held)
    assert len(classifier.problems_) == 1
    classifier.evaluate(learned)
    assert len(classifier.problems_) == 1


def test_the_text_in_a_picture_alone_is_enough_for_no_policy(settings, memes, fake):
    """A post without a text of its own is nothing without its picture, even if other posts' pictures hold text."""
    learned, held, _ = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1, "on_bad_image": "missing"})
    (memes.parent / "0.png").write_bytes(b"not a picture")
    with pytest.raises(PostsError, match=r"0\.png"):
        classifier.fit(learned, validation=held)


def test_without_the_extra_nothing_is_begun(settings, memes, fake, monkeypatch, tmp_path):
    learned, held, test = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1}).fit(learned, validation=held)
    classifier.save(tmp_path / "bundle")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    loaded = JointClassifier.load(tmp_path / "bundle")
    for work in (
        lambda: JointClassifier(**settings).fit(learned),
        lambda: loaded.score_stream(iter(test)),
        lambda: loaded.predict_proba(test),
        lambda: loaded.evaluate(test),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install -c constraints\.txt '\.\[ocr\]'"):
            work()


def test_an_encoder_that_cannot_take_it_in_is_refused(settings, memes, fake, tiny_text, tmp_path):
    import shutil

    shutil.copytree(tiny_text, tmp_path / "mute")
    tokenizer = json.loads((tmp_path / "mute" / "tokenizer.json").read_text())
    (tmp_path / "mute" / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    learned, held, _ = parts(memes)
    with pytest.raises(EncoderError, match="puts nothing between two texts"):
        JointClassifier(**settings | {"text_encoder": str(tmp_path / "mute")}).fit(learned, validation=held)
    assert fake.pictures == 0


def test_a_fusion_of_ones_own_and_several_chunks(settings, memes, fake):
    learned, held, _ = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1, "fusion": SumFusion}).fit(learned, validation=held)
    posts = Posts(post for _ in range(4) for post in learned)
    rows = classifier.predict_proba(posts)
    assert rows.shape == (4 * len(learned), 2)
    np.testing.assert_allclose(rows, np.tile(rows[: len(learned)], (4, 1)), atol=1e-5)


def test_a_stream_that_is_left_early_stops_reading(settings, memes, fake, monkeypatch, tmp_path):
    learned, held, _ = parts(memes)
    classifier = JointClassifier(**settings | {"epochs": 1}).fit(learned, validation=held)

    def slowly(picture):
        time.sleep(0.02)
        return ""

    slow = install(monkeypatch, tmp_path / "cache", slowly, "fake 2")
    posts = (Post(image=Image.new("RGB", (4, 4), (n % 256, n // 256, 0))) for n in range(10_000))
    scored = classifier.score_stream(posts)
    next(scored)
    scored.close()
    assert 64 <= slow.pictures < 128


def test_the_command_line(jointune, refused, memes, fake, tiny_text, tiny_image, tmp_path, monkeypatch):
    options = ["--split-column", "split", "--text-encoder", tiny_text, "--image-encoder", tiny_image, "--epochs", "1"]
    bundle = tmp_path / "bundle"
    code, said = jointune("train", memes, *options, "--read-image-text", "--out", bundle)
    assert code == 0, said
    assert json.loads((bundle / "config.json").read_text())["settings"]["read_image_text"] is True
    assert "RapidOCR" in (bundle / "README.md").read_text()
    assert fake.pictures == 48
    code, said = jointune("predict", bundle, memes, "--out", tmp_path / "scored.csv")
    assert code == 0, said
    code, said = jointune("evaluate", bundle, memes, "--quiet")
    assert code == 0, said
    assert fake.pictures == 48

    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    refused("predict", bundle, memes, "--out", tmp_path / "again.csv", says=["'.[ocr]'"])
    refused("train", memes, *options, "--read-image-text", "--out", tmp_path / "other", says=["'.[ocr]'"])
    assert not (tmp_path / "again.csv").exists()
    assert not (tmp_path / "other").exists()


def test_a_run_is_not_resumed_with_another_setting(settings, memes, fake, tmp_path):
    from jointune.errors import OutputError

    learned, held, _ = parts(memes)
    once = settings | {"epochs": 1}
    JointClassifier(**once).fit(learned, validation=held, checkpoint=tmp_path / "state")
    with pytest.raises(OutputError, match="read_image_text"):
        JointClassifier(**once | {"read_image_text": False}).fit(
            learned, validation=held, checkpoint=tmp_path / "state", resume=True
        )


@pytest.mark.slow
def test_the_real_ocr_in_a_real_training(tiny_settings, memes, monkeypatch, tmp_path):
    pytest.importorskip("rapidocr_onnxruntime", reason="the extra ocr is not installed")
    from PIL import ImageDraw, ImageFont

    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    for number in range(48):
        picture = Image.new("RGB", (160, 80), "navy")
        word = ("good", "bad")[number % 2]
        ImageDraw.Draw(picture).text((20, 10), word, fill="white", font=ImageFont.load_default(48))
        picture.save(memes.parent / f"{number}.png")
    learned, held, test = parts(memes)
    classifier = JointClassifier(**tiny_settings | {"read_image_text": True, "epochs": 12, "patience": 12})
    classifier.fit(learned, validation=held)
    scored = list(classifier.score_stream(iter(test)))
    assert [entry.post.image_text for entry in scored] == [entry.post.label for entry in scored]
    assert classifier.evaluate(test).accuracy == 1.0
