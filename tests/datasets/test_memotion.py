"""Memotion: five labels a meme, the corrected text before the recognised one, and odd copies of labels.csv."""

import csv

import pytest

from conftest import draw
from jointune import PostsError, SettingsError
from jointune.datasets.public_sets import load_public
from jointune.errors import JointuneWarning

COLUMNS = ["", "image_name", "text_ocr", "text_corrected", "humour", "sarcasm", "offensive", "motivational"]
COLUMNS += ["overall_sentiment"]
OTHERS = ["funny", "general", "slight", "motivational"]


def memotion(folder, sentiments, texts=("recognised", "corrected")):
    (folder / "images").mkdir(parents=True)
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, sentiment in enumerate(sentiments):
            writer.writerow([number, f"image_{number}.jpg", *texts, *OTHERS, sentiment])
            draw(folder / "images" / f"image_{number}.jpg", "blue", number)
    return folder


def test_very_positive_is_positive_unless_kept(tmp_path):
    published = ["very_positive", "positive", "neutral", "negative", "very_negative"]
    folder = memotion(tmp_path / "set", published)
    found = load_public("memotion", folder)
    assert [post.label for post in found.posts] == ["positive", "positive", "neutral", "negative", "negative"]
    assert [post.fields["overall_sentiment"] for post in found.posts] == published
    assert [post.label for post in load_public("memotion", folder, keep_very=True).posts] == published
    first = found.posts[0]
    assert (first.text, first.fields["id"], first.split) == ("corrected", "image_0.jpg", None)
    assert first.image == (folder / "images" / "image_0.jpg").resolve()


@pytest.mark.parametrize(
    ("task", "label"), zip(["humour", "sarcasm", "offensive", "motivational"], OTHERS, strict=True)
)
def test_the_other_tasks(tmp_path, task, label):
    (post,) = load_public("memotion", memotion(tmp_path / "set", ["neutral"]), task=task).posts
    assert post.label == post.fields[task] == label


def test_only_the_sentiment_is_merged(tmp_path):
    folder = memotion(tmp_path / "set", ["neutral"])
    path = folder / "labels.csv"
    path.write_text(path.read_text().replace("funny", "very_funny"))
    assert load_public("memotion", folder, task="humour").posts[0].label == "very_funny"


@pytest.mark.parametrize(
    ("texts", "text"), [(("ocr", ""), "ocr"), (("ocr", " "), "ocr"), (("", ""), None), (("a", "b\nc"), "b\nc")]
)
def test_the_corrected_text_or_the_recognised_one(tmp_path, texts, text):
    (post,) = load_public("memotion", memotion(tmp_path / "set", ["neutral"], texts)).posts
    assert post.text == text


def test_odd_cases_white_space_latin1_and_no_label(tmp_path):
    folder = memotion(tmp_path / "set", [" Very_Positive ", "", "neutral"], ("", "déjà"))
    path = folder / "labels.csv"
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    (folder / "images" / "image_0.jpg").rename(folder / "images" / "Image_0.JPG")
    with pytest.warns(JointuneWarning, match="1 of 1 text files are not UTF-8 and were read as cp1252"):
        found = load_public("memotion", folder)
    assert [(post.text, post.label) for post in found.posts] == [("déjà", "positive"), ("déjà", "neutral")]
    assert found.posts[0].image.name == "Image_0.JPG"
    assert found.left_out == {"no overall_sentiment": 1}
    assert len(load_public("memotion", folder, keep_unlabelled=True, encoding="latin-1").posts) == 3


def test_malformed_rows_are_skipped_where_asked(tmp_path):
    folder = memotion(tmp_path / "set", ["neutral", "neutral"])
    with open(folder / "labels.csv", "a") as file:
        file.write("2,image_0.jpg\n")
    with pytest.raises(PostsError, match=r"row 3 \(line 4\): the row: it has 2 fields.*on_missing='skip'"):
        load_public("memotion", folder)
    found = load_public("memotion", folder, on_missing="skip")
    assert (len(found.posts), found.left_out) == (2, {"the row is malformed": 1})


def test_missing_pictures_and_repeated_names(tmp_path):
    folder = memotion(tmp_path / "set", ["neutral", "neutral", "neutral"])
    (folder / "images" / "image_1.jpg").unlink()
    with pytest.raises(PostsError, match=r"labels.csv row 2 \(line 3\): images/image_1.jpg: no such file"):
        load_public("memotion", folder)
    path = folder / "labels.csv"
    path.write_text(path.read_text().replace("image_2.jpg", "image_0.jpg"))
    found = load_public("memotion", folder, on_missing="skip")
    assert [post.fields["id"] for post in found.posts] == ["image_0.jpg"]
    assert found.left_out == {"text or picture is missing": 1, "listed before, under the same id": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "labels.csv: the file is empty"),
        (",".join(COLUMNS) + "\n", "no posts to use"),
        (",image_name,text_ocr\n", "there is no column 'humour'"),
        (",".join(COLUMNS) + "\n0,image_0.jpg\n", r"labels.csv row 1 \(line 2\): the row: it has 2 fields"),
        (",".join(COLUMNS) + "\n0,,a,b,c,d,e,f,neutral\n", "images/: no such file"),
        (",".join(COLUMNS) + "\n0,../labels.csv,a,b,c,d,e,f,neutral\n", r"images/\.\./labels.csv: no such file"),
    ],
)
def test_what_is_wrong_with_a_file_of_labels(tmp_path, content, says):
    folder = memotion(tmp_path / "set", ["neutral"])
    (folder / "labels.csv").write_text(content)
    with pytest.raises(PostsError, match=says):
        load_public("memotion", folder)


def test_a_task_and_an_option_that_do_not_exist(tmp_path):
    with pytest.raises(SettingsError, match="choose one of overall_sentiment, humour"):
        load_public("memotion", tmp_path, task="fun")
    with pytest.raises(SettingsError, match="label_rule is an option of mvsa-single, mvsa-multiple, not of memotion"):
        load_public("memotion", tmp_path, label_rule="text")
    with pytest.raises(PostsError, match=r"there is no labels\.csv in it"):
        load_public("memotion", tmp_path)
