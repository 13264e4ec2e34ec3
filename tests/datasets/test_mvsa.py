"""MVSA: the published layout, the label rules vote by vote, and what may be wrong with a copy."""

from collections import Counter
from itertools import product

import pytest

from conftest import draw
from jointune import PostsError, SettingsError
from jointune.datasets.mvsa import RULES, WORDS, Votes, majority
from jointune.datasets.public_sets import load_public
from jointune.errors import JointuneWarning

HEADER = "ID\ttext,image"


def mvsa(folder, rows, annotators=1):
    """``rows`` of votes, such as ``["neutral,positive"]``, numbered from 1, each with a text and a picture."""
    (folder / "data").mkdir(parents=True)
    lines = ["ID" + "\ttext,image" * annotators]
    for number, votes in enumerate(rows, 1):
        lines.append("\t".join([str(number), *votes.split()]))
        (folder / "data" / f"{number}.txt").write_text(f"words of post {number}\n")
        draw(folder / "data" / f"{number}.jpg", "green", number)
    (folder / "labelResultAll.txt").write_text("\n".join(lines) + "\n")
    return folder


def labels(found):
    return {post.fields["id"]: post.label for post in found.posts}


def test_a_post_has_its_text_its_picture_and_both_labels(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,positive"])
    (post,) = load_public("mvsa-single", folder).posts
    assert post.text == "words of post 1"
    assert post.image == (folder / "data" / "1.jpg").resolve()
    assert post.label == "positive"
    assert post.split is None
    assert post.fields == {"id": "1", "text_label": "neutral", "image_label": "positive"}
    assert post.where == "labelResultAll.txt row 1 (line 2)"


def test_single_by_the_rule_of_multisentinet(tmp_path):
    rows = [f"{text},{image}" for text, image in product(WORDS, WORDS)]
    found = load_public("mvsa-single", mvsa(tmp_path / "set", rows))
    assert [(post.fields["text_label"], post.fields["image_label"], post.label) for post in found.posts] == [
        ("positive", "positive", "positive"),
        ("positive", "neutral", "positive"),
        ("neutral", "positive", "positive"),
        ("neutral", "neutral", "neutral"),
        ("neutral", "negative", "negative"),
        ("negative", "neutral", "negative"),
        ("negative", "negative", "negative"),
    ]
    assert found.left_out == {"text and picture contradict each other": 2}


def test_multiple_takes_the_majority_of_text_and_picture_separately(tmp_path):
    rows = [
        "positive,neutral positive,neutral neutral,neutral",  # majorities: positive, neutral
        "positive,negative neutral,negative negative,negative",  # no majority for the text
        "positive,negative positive,negative neutral,neutral",  # they contradict each other
        "neutral,neutral neutral,neutral positive,positive",
    ]
    folder = mvsa(tmp_path / "set", rows, annotators=3)
    found = load_public("mvsa-multiple", folder)
    assert labels(found) == {"1": "positive", "4": "neutral"}
    assert found.left_out == {"no majority among the annotators": 1, "text and picture contradict each other": 1}
    first = found.posts[0].fields
    assert first["text_votes"] == "positive positive neutral"
    assert first["image_votes"] == "neutral neutral neutral"
    assert labels(load_public("mvsa-multiple", folder, label_rule="text")) == {
        "1": "positive",
        "3": "positive",
        "4": "neutral",
    }
    assert labels(load_public("mvsa-multiple", folder, label_rule="image")) == {
        "1": "neutral",
        "2": "negative",
        "3": "negative",
        "4": "neutral",
    }
    assert labels(load_public("mvsa-multiple", folder, keep_unlabelled=True)) == {
        "1": "positive",
        "2": None,
        "3": None,
        "4": "neutral",
    }


def test_the_majority_is_more_than_half():
    assert majority(["neutral"]) == "neutral"
    assert majority(["neutral", "positive", "positive"]) == "positive"
    assert majority(["neutral", "positive", "negative"]) is None
    assert majority(["neutral", "positive"]) is None


def test_the_rule_of_the_paper_counts_all_votes_together_and_knows_no_ties():
    rule = RULES["paper"]
    assert rule(Votes(("positive",), ("positive",)))[0] == "positive"
    assert rule(Votes(("positive",), ("neutral",))) == (None, "no label has the most votes")
    assert rule(Votes(("positive", "positive", "neutral"), ("neutral", "negative", "positive")))[0] == "positive"
    assert rule(Votes(("positive", "positive", "neutral"), ("neutral", "negative", "negative")))[0] is None
    assert rule(Votes(("positive", "negative", "neutral"), ("neutral", "negative", "neutral")))[0] == "neutral"


def test_the_rule_of_the_paper_is_balanced_and_others_are_where_asked(tmp_path):
    rows = ["positive,positive"] * 9 + ["neutral,neutral"] * 3 + ["negative,negative"] * 5 + ["neutral,positive"]
    folder = mvsa(tmp_path / "set", rows)
    found = load_public("mvsa-single", folder, label_rule="paper")
    assert Counter(labels(found).values()) == dict.fromkeys(WORDS, 3)
    assert found.left_out == {"no label has the most votes": 1, "not drawn, to balance the labels": 8}
    drawn = list(labels(found))
    assert drawn == sorted(drawn, key=int)
    assert list(labels(load_public("mvsa-single", folder, label_rule="paper"))) == drawn
    assert list(labels(load_public("mvsa-single", folder, label_rule="paper", seed=1))) != drawn
    other = load_public("mvsa-single", folder, balanced=True, keep_unlabelled=True)
    assert Counter(labels(other).values()) == dict.fromkeys(WORDS, 3)


def test_votes_and_names_in_another_case_and_with_white_space(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral", "neutral,neutral"])
    (folder / "labelResultAll.txt").write_bytes(
        b"\xef\xbb\xbfID\ttext,image\r\n1\tPositive , NEUTRAL\t\r\n\r\n2\tneutral,Negative \r\n"
    )
    (folder / "data" / "1.jpg").rename(folder / "data" / "1.JPG")
    (folder / "data" / "2.txt").rename(folder / "data" / "2.Txt")
    found = load_public("mvsa-single", folder)
    assert labels(found) == {"1": "positive", "2": "negative"}
    assert found.posts[0].image.name == "1.JPG"
    assert found.posts[1].where == "labelResultAll.txt row 2 (line 4)"


def test_texts_that_are_not_utf8_are_gb18030(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"] * 5)
    (folder / "data" / "1.txt").write_bytes("I can’t wait…".encode("gb18030"))
    (folder / "data" / "2.txt").write_bytes("très bien 😀".encode())
    (folder / "data" / "3.txt").write_bytes(b" \n")
    (folder / "data" / "4.txt").write_bytes("この映画は “Доброе утро”".encode("gb18030"))
    with pytest.warns(JointuneWarning, match="2 of 5 text files are not UTF-8 and were read as gb18030") as caught:
        found = load_public("mvsa-single", folder)
    said = str(caught[0].message)
    assert "which the set is known to have" in said
    assert "data/1.txt: I can’t wait…" in said
    assert [post.text for post in found.posts] == [
        "I can’t wait…",
        "très bien 😀",
        None,
        "この映画は “Доброе утро”",
        "words of post 5",
    ]


def test_a_copy_that_someone_saved_in_another_encoding_is_not_taken_for_gb18030(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"] * 3)
    texts = ["Quelle belle journée à la plage", "Très déçu, c’était nul", "Mon frère a gagné"]
    for number, text in enumerate(texts, 1):
        (folder / "data" / f"{number}.txt").write_bytes(text.encode("cp1252"))
    with pytest.warns(JointuneWarning, match=r"read as cp1252 \(a guess"):
        found = load_public("mvsa-single", folder)
    assert [post.text for post in found.posts] == texts


def test_a_text_that_is_not_like_the_others_stops_or_is_skipped(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"] * 20)
    for number in range(1, 20):
        (folder / "data" / f"{number}.txt").write_bytes(f"It’s number {number}…".encode("gb18030"))
    (folder / "data" / "20.txt").write_bytes(b"cut in the middle \xa1")
    with (
        pytest.warns(JointuneWarning, match="20 of 20 text files"),
        pytest.raises(PostsError, match=r"row 20 .*20\.txt: neither UTF-8 nor gb18030 .*with encoding"),
    ):
        load_public("mvsa-single", folder)
    with pytest.warns(JointuneWarning):
        found = load_public("mvsa-single", folder, on_missing="skip")
    assert len(found.posts) == 19
    assert found.left_out == {"the text is in another encoding than the others": 1}


def test_malformed_rows_are_skipped_where_asked(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"] * 4)
    (folder / "labelResultAll.txt").write_text(
        f"{HEADER}\n1\tneutral,neutral\n2\n3\tneutral,happy\n4\tneutral,neutral\n"
    )
    with pytest.raises(PostsError, match=r"row 2 \(line 3\): .*on_missing='skip'"):
        load_public("mvsa-single", folder)
    found = load_public("mvsa-single", folder, on_missing="skip")
    assert list(labels(found)) == ["1", "4"]
    assert found.left_out == {"the row is malformed": 2}


@pytest.mark.parametrize("name", ["data/2.jpg", "data/2.txt"])
def test_a_missing_file_stops_or_is_skipped(tmp_path, name):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"] * 3)
    (folder / name).unlink()
    with pytest.raises(PostsError, match=rf"row 2 \(line 3\): {name}: no such file .* on_missing='skip'"):
        load_public("mvsa-single", folder)
    found = load_public("mvsa-single", folder, on_missing="skip")
    assert list(labels(found)) == ["1", "3"]
    assert found.left_out == {"text or picture is missing": 1}


def test_a_file_of_a_post_that_is_left_out_anyway_is_not_missed(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral", "positive,negative"])
    (folder / "data" / "2.jpg").unlink()
    assert list(labels(load_public("mvsa-single", folder))) == ["1"]


def test_an_id_listed_twice_counts_once(tmp_path):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"])
    with open(folder / "labelResultAll.txt", "a") as file:
        file.write("1\tpositive,positive\n")
    found = load_public("mvsa-single", folder)
    assert labels(found) == {"1": "neutral"}
    assert found.left_out == {"listed before, under the same id": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "labelResultAll.txt: the file is empty"),
        ("\n \n", "labelResultAll.txt: the file is empty"),
        (f"{HEADER}\n", "no posts to use"),
        ("1\tneutral,neutral\n", "line 1: no header, which starts with ID"),
        (
            f"{HEADER}\ttext,image\ttext,image\n",
            "3 columns of votes, and mvsa-single has 1; import it as mvsa-multiple",
        ),
        (f"{HEADER}\ttext,image\n", "2 columns of votes, and mvsa-single has 1; restore it"),
        (f"{HEADER}\n1\n", r"row 1 \(line 2\): the row: it has 1 fields and the header 2"),
        (f"{HEADER}\n1\tneutral,neutral\tneutral,neutral\n", r"row 1 \(line 2\): the row: it has 3 fields"),
        (
            f"{HEADER}\n1\tneutral,neutral\n2\tneutral\n",
            r"row 2 \(line 3\): votes: 'neutral' is not a vote on the text",
        ),
        (f"{HEADER}\n1\tneutral,happy\n", r"row 1 \(line 2\): votes: 'neutral,happy' is not"),
        (f"{HEADER}\n1\tneutral,neutral,neutral\n", r"row 1 \(line 2\): votes"),
        (f"{HEADER}\n../../1\tneutral,neutral\n", r"data/\.\./\.\./1\.txt: no such file"),
    ],
)
def test_what_is_wrong_with_a_file_of_labels(tmp_path, content, says):
    folder = mvsa(tmp_path / "set", ["neutral,neutral"])
    (folder / "labelResultAll.txt").write_text(content)
    with pytest.raises(PostsError, match=says):
        load_public("mvsa-single", folder)


def test_a_name_that_leads_out_of_the_set_finds_nothing(tmp_path):
    folder = mvsa(tmp_path / "a" / "set", ["neutral,neutral"])
    (folder.parent / "9.txt").write_text("secret")
    draw(folder.parent / "9.jpg", "red", 9)
    (folder / "labelResultAll.txt").write_text(f"{HEADER}\n../../9\tneutral,neutral\n")
    with pytest.raises(PostsError, match="no such file in the folder"):
        load_public("mvsa-single", folder)


def test_folder_rule_and_options_that_do_not_exist(tmp_path):
    with pytest.raises(PostsError, match="nowhere: no such folder; give the one that mvsa-single was unpacked into"):
        load_public("mvsa-single", tmp_path / "nowhere")
    with pytest.raises(PostsError, match=r"there is no labelResultAll\.txt in it; give the folder that holds"):
        load_public("mvsa-single", tmp_path)
    with pytest.raises(SettingsError, match="choose one of multisentinet, text, image, paper"):
        load_public("mvsa-single", tmp_path, label_rule="best")
    with pytest.raises(SettingsError, match="task is an option of memotion, not of mvsa-single"):
        load_public("mvsa-single", tmp_path, task="humour")
    with pytest.raises(SettingsError, match="on_missing='ignore': choose error or skip"):
        load_public("mvsa-single", tmp_path, on_missing="ignore")
    with pytest.raises(SettingsError, match="no public set 'mvsa': choose one of mvsa-single, mvsa-multiple, hateful"):
        load_public("mvsa", tmp_path)
