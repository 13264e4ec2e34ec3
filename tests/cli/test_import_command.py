"""jointune import: a public set to a table that the other commands take, with everything left out accounted for."""

import json
import subprocess
import sys

import pytest

from conftest import draw
from jointune import read_posts


@pytest.fixture
def mvsa(tmp_path):
    folder = tmp_path / "MVSA Single"
    (folder / "data").mkdir(parents=True)
    votes = ["positive,neutral", "negative,negative", "positive,negative", "neutral,negative", "Positive ,positive"]
    lines = ["ID\ttext,image", *(f"{number}\t{pair}" for number, pair in enumerate(votes, 1))]
    (folder / "labelResultAll.txt").write_text("\n".join(lines))
    for number in range(1, len(votes) + 1):
        (folder / "data" / f"{number}.txt").write_bytes(f"so… {number}".encode("gb18030" if number == 1 else "utf-8"))
        draw(folder / "data" / f"{number}.jpg", "green", number)
    return folder


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_table_passes_the_check_that_is_named_next(jointune, mvsa, tmp_path, ending):
    path = tmp_path / f"posts{ending}"
    code, said = jointune("import", "mvsa-single", mvsa, "--out", path)
    assert code == 0, said
    assert said.splitlines() == [
        "note: 1 of 5 text files are not UTF-8 and were read as gb18030 (which the set is known to have):",
        "  data/1.txt: so… 1",
        f"wrote {path}: 4 posts: positive 2, negative 2",
        "left out: text and picture contradict each other: 1",
        f"next: jointune check {path}",
    ]
    assert jointune("check", path)[0] == 0
    posts = read_posts(path)
    assert [post.text for post in posts] == ["so… 1", "so… 2", "so… 4", "so… 5"]
    assert posts[0].fields["image"] == "MVSA Single/data/1.jpg"
    assert posts[0].fields["text_label"] == "positive"


def test_splits_are_counted_and_the_next_command_knows_them(jointune, tmp_path):
    for number, place in enumerate(["train/a", "train/b", "train/a", "train/b", "val/a", "val/b"]):
        (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
        draw(tmp_path / "set" / place / f"{number}.jpg", "red", number)
    path = tmp_path / "my posts.csv"
    code, said = jointune("import", "folders", tmp_path / "set", "--out", path)
    assert code == 0, said
    assert "  train: 4 posts: a 2, b 2\n  validation: 2 posts: a 1, b 1\n" in said
    assert f"next: jointune check '{path}' --split-column split" in said
    assert jointune("check", path, "--split-column", "split")[0] == 0


def test_posts_without_a_label_are_named(jointune, mvsa, tmp_path):
    path = tmp_path / "posts.csv"
    code, said = jointune("import", "mvsa-single", mvsa, "--out", path, "--keep-unlabelled")
    assert code == 0, said
    assert "5 posts: positive 2, negative 2, (no label) 1" in said
    assert said.endswith("--label-column ''\n")
    assert jointune("check", path, "--label-column", "")[0] == 0


def test_options_reach_the_set(jointune, refused, mvsa, tmp_path):
    code, said = jointune("import", "mvsa-single", mvsa, "--out", tmp_path / "t.csv", "--label-rule", "text")
    assert (code, "positive 3, negative 1, neutral 1" in said) == (0, True), said
    code, said = jointune("import", "mvsa-single", mvsa, "--out", tmp_path / "p.csv", "--label-rule", "paper")
    assert (code, "2 posts: " in said) == (0, True), said
    code, said = jointune("import", "mvsa-single", mvsa, "--out", tmp_path / "b.csv", "--label-rule=text", "--balanced")
    assert (code, "left out: not drawn, to balance the labels: 2" in said) == (0, True), said
    refused("import", "mvsa-single", mvsa, "--out", tmp_path / "x.csv", "--keep-very", says=["option of memotion, not"])


def test_the_encoding_of_texts_can_be_named(jointune, refused, mvsa, tmp_path):
    (mvsa / "data" / "1.txt").write_bytes("naïveté".encode("cp1252"))
    path = tmp_path / "posts.csv"
    code, said = jointune("import", "mvsa-single", mvsa, "--out", path, "--encoding", "cp1252")
    assert (code, "note" in said) == (0, False), said
    assert read_posts(path)[0].text == "naïveté"
    refused("import", "mvsa-single", mvsa, "--out", path, "--force", "--encoding", "ascii", says=["1.txt", "ascii"])


def test_a_missing_picture_stops_or_is_left_out(jointune, refused, mvsa, tmp_path):
    (mvsa / "data" / "4.jpg").unlink()
    path = tmp_path / "posts.csv"
    refused("import", "mvsa-single", mvsa, "--out", path, says=["row 4 (line 5): data/4.jpg", "--on-missing skip"])
    assert not path.exists()
    code, said = jointune("import", "mvsa-single", mvsa, "--out", path, "--on-missing", "skip")
    assert (code, "left out: text or picture is missing: 1" in said) == (0, True), said


def test_outputs_that_are_refused(jointune, refused, mvsa, tmp_path):
    path = tmp_path / "posts.csv"
    path.write_text("mine")
    refused("import", "mvsa-single", mvsa, "--out", path, says=["exists already", "--force"])
    assert path.read_text() == "mine"
    assert jointune("import", "mvsa-single", mvsa, "--out", path, "--force")[0] == 0
    refused("import", "mvsa-single", mvsa, "--out", tmp_path / "posts.txt", says=["the ending .txt is not known"])
    refused("import", "mvsa-single", mvsa, "--out", mvsa, "--force", says=["is or holds the posts themselves"])
    refused("import", "flickr", mvsa, "--out", path, says=["no public set 'flickr'", "mvsa-single, mvsa-multiple"])


def test_the_set_itself_is_never_replaced(refused, tmp_path):
    (tmp_path / "img").mkdir()
    draw(tmp_path / "img" / "1.png", "red", 1)
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"id": 1, "img": "img/1.png", "label": 1, "text": "a"}) + "\n")
    before = path.read_text()
    refused("import", "hateful-memes", tmp_path, "--out", path, "--force", says=["is or holds the posts themselves"])
    assert path.read_text() == before


def test_torch_is_not_needed(mvsa, tmp_path):
    program = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = sys.modules['pyarrow'] = None\n"
        "from jointune.cli.app import app; app(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "import", "mvsa-single", str(mvsa), "--out", str(tmp_path / "p.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
