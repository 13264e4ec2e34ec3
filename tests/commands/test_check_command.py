"""jointune check: every unusable row with file, reason and remedy; 1 if there is one."""

import json
import shutil

import pytest

from odd_pictures import unusable, usable


def table(path, images, labels="ab"):
    rows = [
        {"text": f"text {number}", "image": str(image), "label": labels[number % len(labels)]}
        for number, image in enumerate(images)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_people_have_is_all_usable(jointune, tmp_path):
    good = usable(tmp_path / "good")
    code, said = jointune("check", table(tmp_path / "posts.jsonl", good.values()))
    assert code == 0, said
    assert f"{len(good)} posts, all usable: {len(good)} with a text, {len(good)} with a picture" in said
    assert "labels: a 14, b 13" in said


def test_every_unusable_row_is_on_a_line_of_its_own(refused, tmp_path):
    good, bad = usable(tmp_path / "good"), unusable(tmp_path / "bad")
    path = table(tmp_path / "posts.jsonl", [*good.values(), *(file for file, _ in bad.values())])
    with open(path, "a") as file:
        file.write("oops\n" + json.dumps({"text": ["a"], "label": "a"}) + "\n" + json.dumps({"label": "b"}) + "\n")
    content = path.read_bytes()
    said = refused("check", path, code=1, says=[]).splitlines()
    for number, (picture, reason) in enumerate(bad.values(), len(good) + 1):
        (line,) = [line for line in said if line.startswith(f"posts.jsonl row {number} (line {number}): ")]
        assert f": {picture}: " in line
        assert reason in line
        assert "; " in line
    last = len(good) + len(bad)
    assert f"row {last + 1} (line {last + 1}): the row: not a JSON object" in said[-4]
    assert f"row {last + 2} (line {last + 2}): column 'text': a list where a text is needed" in said[-3]
    assert f"row {last + 3} (line {last + 3}): the post: has neither text nor picture" in said[-2]
    assert said[-1] == f"{len(bad) + 3} problems in {last + 3} posts."
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ["posts.csv: the file is empty"]),
        ("text,image,label\n", ["posts.csv: no posts"]),
        ("text,label\na,b\n", ["there is no column 'image' (there are: text, label)", "--image-column ''"]),
        ("text,image,label\na,,x\nb,,x\n", ["row 1 (line 2): label: every post is labelled 'x'"]),
        ("text,image,label\na,,x\nb,,x\nc,,y\n", ["row 3 (line 4): label: the only post labelled 'y'"]),
        ("text,image,label\na,,x\nb,,\nc,,y\n", ["row 2 (line 3): label: the post has no label"]),
        ("text,image,label\na,,x\nb,\nc,,y,z\n", ["row 2 (line 3): the row: it has 2 fields", "row 3 (line 4)"]),
        (b"text,image,label\n\xfc,,x\n", ["row 1 (line 2), column 1: byte 0xfc is not UTF-8", "--encoding"]),
    ],
)
def test_what_is_wrong_with_a_table(refused, tmp_path, content, says):
    path = tmp_path / "posts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused("check", path, code=1, says=says)


def test_a_file_that_is_not_there(refused, tmp_path):
    refused("check", tmp_path / "nowhere.csv", code=1, says=["nowhere.csv: no such file; give a"])


def test_splits_are_looked_at_when_asked_for(refused, jointune, fresh_posts):
    path = fresh_posts()
    assert jointune("check", path, "--split-column", "split")[0] == 0
    path.write_text(path.read_text().replace(",validation\n", ",fold 3\n", 1))
    refused(
        "check", path, "--split-column", "split", code=1, says=["split: the split is 'fold 3'; use one of train, valid"]
    )
    assert jointune("check", path)[0] == 0


def test_labels_are_not_looked_at_when_there_are_none(jointune, tmp_path):
    (tmp_path / "posts.csv").write_text("text,image\na,\nb,\n")
    code, said = jointune("check", tmp_path / "posts.csv", "--label-column", "")
    assert (code, "2 posts, all usable" in said) == (0, True), said


def test_image_root(refused, jointune, posts_csv, tmp_path):
    moved = tmp_path / "table"
    moved.mkdir()
    shutil.copy(posts_csv, moved)
    assert jointune("check", moved / "posts.csv", "--image-root", posts_csv.parent)[0] == 0
    text = (moved / "posts.csv").read_text().replace(",3.png,", f",{posts_csv.parent / '3.png'},")
    text = text.replace(",4.png,", ",../../4.png,")
    (moved / "posts.csv").write_text(text)
    said = refused(
        "check", moved / "posts.csv", "--image-root", posts_csv.parent, code=1,
        says=["row 5 (line 6): ../../4.png: leads outside --image-root", "give the path of a picture file"],
    )  # fmt: skip
    assert "1 problem in 48 posts." in said


def test_names_in_square_brackets_and_colons_are_printed_as_they_are(refused, jointune, tmp_path):
    (tmp_path / "p[b].csv").write_text("text,image,label\na,[red]x[/green].png,:heart:\nb,,:heart:\nc,,[i]\nd,,[i]\n")
    refused("check", tmp_path / "p[b].csv", code=1, says=["p[b].csv row 1", "[red]x[/green].png: no such file"])
    (tmp_path / "p[b].csv").write_text("text,image,label\na,,:heart:\nb,,:heart:\nc,,[i]\nd,,[i]\n")
    assert "labels: :heart: 2, [i] 2" in jointune("check", tmp_path / "p[b].csv")[1]


def test_a_table_without_quoting_loses_no_row(jointune, tmp_path):
    path = tmp_path / "posts.tsv"
    path.write_text('text\timage\tlabel\n"a\t\tx\nb said "c"\t\ty\nd"\t\tx\n"e" f\t\ty\n')
    code, said = jointune("check", path)
    assert code == 0, said
    assert "4 posts, all usable: 4 with a text, 0 with a picture; labels: x 2, y 2." in said
    assert "note: posts.tsv: read as a table without quoting" in said
