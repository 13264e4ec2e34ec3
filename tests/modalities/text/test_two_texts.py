"""Two texts a post, from the table to the answer: a sentence and the aspect that it is asked about."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from conftest import make_tokenizer_folder, write_rows
from helpers.small_models import make
from jointune import JointClassifier, Post, Posts, PostsError, SettingsError, read_posts
from jointune.data.fingerprints import posts_digest
from jointune.data.read import Columns, make_post
from jointune.data.split import identity_groups
from jointune.data.tables.table import Row
from jointune.encoders.tokenizer_alone import load_tokenizer
from jointune.errors import EncoderError
from jointune.export.exporter import export
from jointune.inference.load import load_predictor
from jointune.modalities.text.tokens import TextPreprocessor

PAIR = {"text_column": "text,aspect", "image_column": None}
COLUMNS = ("--text-column", "text,aspect", "--image-column", "")
CLS, SEP, GOOD, BAD, LUNCH = 2, 3, 5, 6, 11


@pytest.fixture(scope="module")
def rows():
    """48 posts of which only the second text tells the label; one has the second text alone, one the first."""
    made = []
    for number in range(48):
        label = ("sad", "glad")[number % 2]
        aspect = {"sad": "awful rain", "glad": "happy sun"}[label]
        made.append({"text": f"{('good', 'bad')[number // 2 % 2]} {number}", "aspect": aspect, "label": label})
    made[5]["text"], made[6]["aspect"] = "", ""
    return made


@pytest.fixture(scope="module")
def table(rows, tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("pairs") / "pairs.csv", rows)


@pytest.fixture(scope="module")
def trained(rows, tiny_settings):
    return JointClassifier(**tiny_settings | PAIR | {"epochs": 6}).fit(rows, validation=0.25)


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "bundle"
    trained.save(folder)
    return folder


@pytest.fixture
def tokens(tmp_path):
    make_tokenizer_folder(tmp_path)
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    return TextPreprocessor(Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 12, inputs=inputs, pair=("a", "b"))


def test_both_texts_are_read_as_the_tokenizer_joins_them(tokens):
    posts = [Post("good", second_text="bad lunch"), Post("good"), Post(second_text="bad"), Post()]
    rows = tokens.rows(posts)
    assert rows[0].ids.tolist() == [CLS, GOOD, SEP, BAD, LUNCH, SEP]
    assert rows[0].types.tolist() == [0, 0, 0, 1, 1, 1]
    assert [row and row.ids.tolist() for row in rows[1:]] == [[CLS, GOOD, SEP], [CLS, BAD, SEP], None]
    assert rows[2].types is None, "the only text is the first"


def test_the_longer_text_is_cut_first_and_what_is_cut_is_counted(tokens):
    (row,) = tokens.rows([Post("good " * 3, second_text="bad " * 100)])
    assert (row.ids == GOOD).sum() == 3
    assert (row.ids == BAD).sum() == 6
    assert row.cut_off == 3 + 3 + 100 - 12
    (row,) = tokens.rows([Post("good " * 100, second_text="bad " * 1000)])
    assert abs(row.cut_off - (3 + 1100 - 12)) < 100, "beyond the characters that are looked at, by an estimate"


def test_the_second_text_is_as_plain_as_the_first_and_the_text_in_an_image_follows(tokens):
    lower = replace(tokens, lowercase=True, with_image_text=True)
    (row,) = lower.rows([Post("GOOD", second_text="BAD", image_text="LUNCH")])
    assert row.ids.tolist() == [CLS, GOOD, SEP, BAD, LUNCH, SEP]
    (row,) = lower.rows([Post("good", image_text="lunch")])
    assert row.ids.tolist() == [CLS, GOOD, SEP, LUNCH, SEP]
    plain = replace(tokens, normalise=("hashtags",))
    (row,) = plain.rows([Post("#good", second_text="#bad")])
    assert row.ids.tolist() == [CLS, *plain.encode(["#good"])[0].ids[1:-1], SEP, *plain.encode(["#bad"])[0].ids[1:]]


def test_one_text_gives_what_it_gave(tokens):
    single = replace(tokens, pair=())
    posts = [Post("good lunch"), Post("bad " * 40), Post(), Post("")]
    for ours, theirs in zip(tokens.rows(posts), single.rows(posts), strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or (ours.ids.tolist(), ours.types, ours.cut_off) == (
            theirs.ids.tolist(),
            None,
            theirs.cut_off,
        )
    assert "pair" not in single.config()
    assert posts_digest(Posts(posts)) == posts_digest(Posts(replace(post, second_text=None) for post in posts))


def test_texts_are_the_same_if_both_are():
    posts = [Post("a day", second_text=second) for second in ("lunch", "LUNCH ", "train", None)] + [Post("a day lunch")]
    groups = identity_groups(Posts(posts))
    assert groups[0] == groups[1]
    assert len({groups[0], *groups[2:]}) == 4
    assert len({posts_digest(Posts([post])) for post in posts}) == 5


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_two_texts_are_read(first, second):
    row = Row("post", {"text": first, "aspect": second})
    post = make_post(row, Columns("text,aspect", None).matched(row.values), Path())
    present = [text for text in (first, second) if text.strip()]
    assert (post.second_text is not None) == (len(present) == 2)
    assert (post.text is not None) == bool(present)


def test_a_column_whose_name_holds_a_comma_is_one_column(tmp_path):
    path = write_rows(tmp_path / "odd.csv", [{"text,aspect": "a", "label": "b"}, {"text,aspect": "c", "label": "d"}])
    posts = read_posts(path, text_column="text,aspect", image_column=None)
    assert [(post.text, post.second_text) for post in posts] == [("a", None), ("c", None)]


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("text,aspect,label", "3 columns, and a post has one text or two; name one column, or two"),
        ("text,text", "one column twice"),
        ("text,", "an empty name"),
        (",aspect", "an empty name"),
        ("text,label", "'label' is the column of the label"),
        ("text,topic", "no column 'topic'"),
        ("topic,aspect", "no column 'topic'"),
    ],
)
def test_columns_that_are_no_pair_are_refused(named, says, table, rows, refused, tmp_path):
    for posts in (table, rows):
        with pytest.raises((SettingsError, PostsError), match=says):
            read_posts(posts, text_column=named, image_column=None)
    out = ("--out", tmp_path / "never")
    for command in (("train", table, *out), ("compare", table, *out), ("tune", table, *out)):
        refused(*command, "--text-column", named, "--image-column", "", says=["--text-column", says.split(";")[0]])
    assert not (tmp_path / "never").exists()


def test_other_bad_input(trained, rows, tiny_settings, refused, table, bundle, tmp_path):
    with pytest.raises(SettingsError, match="the posts have two texts, and text_column='text' names one column"):
        JointClassifier(**tiny_settings).fit(read_posts(table, **PAIR), validation=0.25)
    with pytest.raises(SettingsError, match=r"number_columns.*the column of the text already"):
        JointClassifier(**tiny_settings | PAIR | {"number_columns": ["aspect"]}).fit(rows)
    with pytest.raises(SettingsError, match=r"max_tokens=4.*with two texts .* needs 5 or more"):
        JointClassifier(**tiny_settings | PAIR | {"max_tokens": 4}).fit(rows, validation=0.25)
    with pytest.raises(PostsError, match="no column 'aspect'"):
        trained.predict([{"text": "good"}])
    with pytest.raises(PostsError, match=r"post 1: column 'aspect': a list where a text is needed"):
        trained.predict([{"text": "good", "aspect": ["sun"]}])
    out = ("--image-column", "", "--out", tmp_path / "never.csv")
    refused("predict", bundle, table, "--text-column", "aspect", *out, says=["the model reads two texts", "name both"])
    lacking = write_rows(tmp_path / "lacking.csv", [{"text": "good", "label": "sad"}])
    refused("predict", bundle, lacking, *out, says=["no column 'aspect'"])
    refused("compare", table, *COLUMNS, "--methods", "clip", "--clip", "x", *out, says=["CLIP takes one text, not two"])


def test_encoders_without_pairs_are_refused(rows, tiny_settings, tiny_clip, tmp_path):
    with pytest.raises(EncoderError, match=r"reads no further than the first of two texts; .*name one column"):
        JointClassifier(**tiny_settings | PAIR | {"text_encoder": tiny_clip}).fit(rows, validation=0.25)
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "good": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(tmp_path)
    make("bert").save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="puts nothing between two texts"):
        JointClassifier(**tiny_settings | PAIR | {"text_encoder": str(tmp_path)}).fit(rows, validation=0.25)


def test_a_model_of_one_text_refuses_two(tiny_bundle, table, refused, tmp_path):
    out = ("--image-column", "", "--out", tmp_path / "scored.csv")
    says = ["pairs.csv row 1", "it has two texts, and the model was trained on posts with one"]
    refused("predict", tiny_bundle, table, "--text-column", "text,aspect", *out, says=says)


def test_it_learns_what_only_the_second_text_says(trained, rows):
    assert trained.evaluate(rows).accuracy > 0.95
    assert trained.predict(
        [{"text": "good", "aspect": "awful rain"}, {"text": None, "aspect": "happy sun"}]
    ).tolist() == ["sad", "glad"]
    assert trained.text_fit_["texts"] == 36
    hidden = trained.read(rows).without("text")
    assert {(post.text, post.second_text) for post in hidden} == {(None, None)}


def test_a_bundle_and_an_export_give_the_same(trained, bundle, rows, tmp_path):
    expected = trained.predict_proba(rows)
    loaded = JointClassifier.load(bundle, device="cpu")
    assert loaded.preprocessors_["text"].pair == ("text", "aspect")
    np.testing.assert_array_equal(loaded.predict_proba(rows), expected)
    assert "Two texts are read together, from the columns text and aspect." in (bundle / "README.md").read_text()
    export(loaded, tmp_path / "export", posts=loaded.read(rows[:12]))
    predictor = load_predictor(tmp_path / "export")
    scores = [one.probabilities for one in predictor.stream(loaded.read(rows))]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_commands(jointune, table, rows, tiny_settings, tmp_path):
    encoders = ("--text-encoder", tiny_settings["text_encoder"], "--image-encoder", tiny_settings["image_encoder"])
    code, said = jointune("check", table, *COLUMNS, "--text-encoder", tiny_settings["text_encoder"])
    assert code == 0, said
    assert "Of 48 texts" in said
    assert "columns not used" not in said
    quick = (*encoders, "--epochs", 1, "--epoch-steps", 1, "--quiet")
    code, said = jointune("train", table, *COLUMNS, *quick, "--out", tmp_path / "bundle")
    assert code == 0, said
    expected = JointClassifier.load(tmp_path / "bundle", device="cpu").predict_proba(rows)
    for columns in (("--image-column", ""), COLUMNS):
        out = tmp_path / f"{len(columns)}.csv"
        code, said = jointune("predict", tmp_path / "bundle", table, *columns, "--out", out)
        assert code == 0, said
        with open(out, newline="", encoding="utf-8") as file:
            scored = [[float(row[f"p_{name}"]) for name in ("glad", "sad")] for row in csv.DictReader(file)]
        np.testing.assert_allclose(scored, expected, atol=1e-5)
    renamed = write_rows(
        tmp_path / "renamed.csv", [{"body": row["text"], "topic": row["aspect"], "label": row["label"]} for row in rows]
    )
    code, said = jointune("evaluate", tmp_path / "bundle", renamed, "--text-column", "body,topic", "--image-column", "")
    assert code == 0, said


def test_trials_are_made_with_both_texts(jointune, table, tiny_settings, tmp_path):
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    encoders = ("--text-encoder", tiny_settings["text_encoder"], "--image-encoder", tiny_settings["image_encoder"])
    fixed = ("--trials", 1, "--epochs", 0, "--quiet", "--out", tmp_path / "tuned")
    code, said = jointune("tune", table, *COLUMNS, *encoders, *fixed)
    assert code == 0, said
    assert said.count("--text-column text,aspect") == 1


def test_the_service_and_the_page_take_a_second_text(bundle, rows):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.ui.one_post import judge

    predictor = load_predictor(bundle, "cpu")
    expected = next(predictor.stream([Post("good", second_text="happy sun")])).probabilities.tolist()
    with TestClient(make_app(predictor), "http://localhost:8000") as client:

        def ask(**request):
            answer = client.post("/predict", **request)
            return answer.status_code, answer.json()

        status, answer = ask(json={"text": "good", "aspect": "happy sun"})
        assert (status, answer["missing"]) == (200, ["image"])
        assert list(answer["probabilities"].values()) == pytest.approx(expected, abs=1e-5)
        assert ask(files={"text": (None, "good"), "aspect": (None, "happy sun")})[1] == answer
        assert ask(json={"posts": [{"text": "good", "aspect": "happy sun"}]})[1] == [answer]
        assert ask(json={"aspect": "happy sun"})[0] == 200
        assert ask(json={"text": "good", "aspect": " "})[1] == ask(json={"text": "good"})[1]
        for wrong in ({"text": "a", "topic": "b"}, {"text": "a", "aspect": 1}, {"text": "a", "aspect": ["b"]}):
            status, answer = ask(json=wrong)
            assert status == 422
            assert "aspect" in answer["error"]["reason"] + answer["error"]["remedy"]
        twice = ask(content='{"aspect": "a", "aspect": "b"}', headers={"Content-Type": "application/json"})
        assert (twice[0], twice[1]["error"]["reason"]) == (422, "a key is there twice")
        described = client.get("/openapi.json").json()
        assert "aspect" in described["components"]["schemas"]["RequestPost"]["properties"]
    verdict = judge(predictor, "good", None, {"aspect": "happy sun"})
    assert list(verdict.probabilities.values()) == pytest.approx(expected, abs=1e-5)
    assert judge(predictor, "", None, {"aspect": " "}).probabilities == {}


def test_a_second_text_named_as_another_part_of_a_request(trained):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from jointune.serve.app import make_app

    text = replace(trained.preprocessors_["text"], pair=("text", "image"))
    predictor = replace(trained.predictor(), preprocessors=trained.preprocessors_ | {"text": text})
    with pytest.raises(SettingsError, match="reads a text from the column 'image'"):
        make_app(predictor)


def test_a_table_on_the_page_has_both_columns(bundle, rows, table, tmp_path):
    from jointune.ui.many_posts import score_table

    result = score_table(load_predictor(bundle, "cpu"), table, None, tmp_path / "scored.csv")
    assert result.rows == 48
    assert result.problems == []
    lacking = write_rows(tmp_path / "lacking.csv", [{"text": "good"}])
    with pytest.raises(PostsError, match="no column 'aspect'"):
        score_table(load_predictor(bundle, "cpu"), lacking, None, tmp_path / "never.csv")


def test_the_tokenizer_alone_cuts_as_training_does(tiny_text, trained):
    alone = replace(load_tokenizer(tiny_text), pair=("text", "aspect"))
    posts = [Post("good " * 90, second_text="bad " * 5), Post("good", second_text="bad " * 200)]
    for ours, theirs in zip(alone.rows(posts), trained.preprocessors_["text"].rows(posts), strict=True):
        assert ours.ids.tolist() == theirs.ids.tolist()
        assert ours.cut_off == theirs.cut_off
