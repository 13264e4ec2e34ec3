"""A table of posts with a zip of their pictures."""

import csv
import zipfile

import pytest

from conftest import draw, write_rows
from helpers.made_predictor import make_predictor
from jointune.data.read import Columns, PostsFile
from jointune.errors import OutputError, PostsError
from jointune.ui.many_posts import score_table


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def scored(tmp_path):
    """Scores rows with the pictures ``names``: ``scored([{...}], ["a.png"])``; None for no zip file."""

    def score(rows, names=None, progress=lambda read: None):
        table, pictures = write_rows(tmp_path / "posts.csv", rows), None
        if names is not None:
            pictures = tmp_path / "pictures.zip"
            with zipfile.ZipFile(pictures, "w") as file:
                for number, name in enumerate(names):
                    draw(tmp_path / "one.png", "red", number)
                    file.write(tmp_path / "one.png", name)
                file.writestr("bad.png", b"no picture")
        return score_table(make_predictor(), table, pictures, tmp_path / "scored.csv", progress)

    return score


def test_rows_are_scored_as_predict_does(scored, tmp_path):
    done = scored([{"id": 1, "text": "good", "image": "a/b.png"}, {"id": 2, "text": "bad", "image": ""}], ["a/b.png"])
    assert done.sentences == ["2 of 2 rows scored."]
    assert sum(done.answers.values()) == 2
    assert list(done.answers) == ["negative", "neutral", "positive"]
    assert [(post.text, answer) for post, answer, _ in done.first] == [
        (row["text"], row["prediction"]) for row in read(done.path)
    ]
    (tmp_path / "a").mkdir()
    (tmp_path / "one.png").rename(tmp_path / "a" / "b.png")
    predictor = make_predictor()
    for row, entry in zip(
        read(done.path), predictor.stream(PostsFile(tmp_path / "posts.csv", Columns(label=None))), strict=True
    ):
        assert list(row) == ["id", "text", "image", "prediction", "confidence", "p_negative", "p_neutral", "p_positive"]
        assert float(row["p_neutral"]) == entry.probabilities[1]
        assert row["prediction"] == predictor.answer(entry.probabilities)[0]


def test_bad_rows_are_listed_and_do_not_fail_the_rest(scored):
    rows = [
        {"text": "good", "image": "a.png"},
        {"text": "bad", "image": "none.png"},
        {"text": "bad", "image": "bad.png"},
        {"text": "", "image": ""},
        {"text": "bad", "image": "http://127.0.0.1/a.png"},
        {"text": "bad", "image": "/etc/hostname"},
        {"text": "sad", "image": ""},
    ]
    seen = []
    done = scored(rows, ["a.png"], seen.append)
    assert done.sentences == ["2 of 7 rows scored.", "5 rows left out; the list below says why."]
    assert [problem.where.split(" (")[0] for problem in done.problems] == [
        f"posts.csv row {n}" for n in (2, 3, 4, 5, 6)
    ]
    assert [row["text"] for row in read(done.path)] == ["good", "sad"]
    assert seen[-1] == 7


def test_a_row_may_name_several_pictures(scored):
    rows = [
        {"text": "good", "image": "a.png; b/c.png"},
        {"text": "bad", "image": '["a.png", "none.png"]'},
        {"text": "sad", "image": ";".join(["a.png"] * 5)},
    ]
    done = scored(rows, ["a.png", "b/c.png"])
    assert [len(post.images) for post, _, _ in done.first] == [2, 4]
    assert done.problems[0].what == "picture 2 of 2, none.png"
    assert done.sentences[-1] == "1 post has more than 4 pictures: the first 4 of them are used."


def test_a_malformed_row_is_left_out(scored, tmp_path):
    (tmp_path / "posts.csv").write_text("text\ngood\nbad,worse\nfine\n")
    done = score_table(make_predictor(), tmp_path / "posts.csv", None, tmp_path / "out.csv")
    assert done.sentences[:2] == ["2 of 3 rows scored.", "1 row left out; the list below says why."]
    assert "2 fields" in done.problems[0].reason


def test_without_a_zip_texts_are_judged_alone(scored):
    done = scored([{"text": "good", "image": "a.png"}])
    assert done.sentences == ["1 of 1 row scored.", "No pictures: judged by the texts alone."]


def test_one_column_is_enough(scored):
    assert "No pictures: judged by the texts alone." in scored([{"text": "good"}], []).sentences
    assert "No texts: judged by the pictures alone." in scored([{"image": "a.png"}], ["a.png"]).sentences


def test_a_table_that_cannot_be_used_is_refused_in_one_sentence(scored, tmp_path):
    with pytest.raises(PostsError, match=r"no column 'text' and none 'image' \(there are: a\)"):
        scored([{"a": 1}])
    with pytest.raises(PostsError, match="add the zip file"):
        scored([{"image": "a.png"}])
    with pytest.raises(OutputError, match="'prediction' already"):
        scored([{"text": "good", "prediction": "x"}])
    (tmp_path / "posts.csv").write_text("text,image\n")
    with pytest.raises(PostsError, match="no rows"):
        score_table(make_predictor(), tmp_path / "posts.csv", None, tmp_path / "out.csv")
    (tmp_path / "posts.csv").write_bytes(b"text\n\xff\xfe\n")
    with pytest.raises(PostsError, match="UTF-8"):
        score_table(make_predictor(), tmp_path / "posts.csv", None, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
