"""jointune check: every unusable row with file, reason and remedy; 1 if there is one."""

import json
import shutil
import sys

import pytest

from helpers.fake_ocr import install
from helpers.odd_pictures import unusable, usable


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
    said = refused("check", path, "--all", code=1, says=[]).splitlines()
    for number, (picture, reason) in enumerate(bad.values(), len(good) + 1):
        (line,) = [line for line in said if line.startswith(f"posts.jsonl row {number} (line {number}): ")]
        assert f": {picture}: " in line
        assert reason in line
        assert "; " in line
    last = len(good) + len(bad)
    summary = said.index(f"{len(bad) + 3} problems in {last + 3} posts.")
    assert f"row {last + 1} (line {last + 1}): the row: not a JSON object" in said[summary - 3]
    assert f"row {last + 2} (line {last + 2}): column 'text': a list where a text is needed" in said[summary - 2]
    assert f"row {last + 3} (line {last + 3}): the post: has neither text nor picture" in said[summary - 1]
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


def write(path, rows, header="text,image,label,split"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_frequent_problems_are_counted_by_their_reason(refused, tmp_path):
    rows = [f"text {number},{number}.png,{'ab'[number % 2]}" for number in range(200)]
    path = write(tmp_path / "posts.csv", [*rows, ",,a", "text,,"], "text,image,label")
    said = refused("check", path, code=1, says=["row 1 (line 2): ", "row 5 (line 6): ", "row 201", "row 202"])
    assert len(said.splitlines()) < 15
    assert "row 6 (line 7)" not in said
    assert "202 problems in 202 posts." in said
    assert "200 times: no such file (195 are not listed; --all lists them)" in said
    assert "--on-bad-image skip leaves such posts out" in said
    assert len(refused("check", path, "--all", code=1, says=["row 200 (line 201): "]).splitlines()) > 202


def test_pictures_that_an_option_leaves_out_are_no_problem(jointune, refused, fresh_posts):
    path = fresh_posts()
    (path.parent / "3.png").unlink()
    refused("check", path, code=1, says=["3.png: no such file", "1 problem in 48 posts.", "--on-bad-image skip"])
    code, said = jointune("check", path, "--on-bad-image", "skip")
    assert (code, "47 of 48 posts usable" in said) == (0, True), said
    code, said = jointune("check", path, "--on-bad-image", "missing")
    assert (code, "48 posts, all usable" in said) == (0, True), said
    refused("check", path, "--on-bad-image", "ignore", says=["--on-bad-image ignore"])


GOOD = ["good,,a,train", "bad,,b,train", "fine,,a,validation", "awful,,b,test"]

SKIP = ["--on-bad-image", "skip"]

TABLES = {
    "four posts": (GOOD, [], None),
    "four posts with their splits": (GOOD, ["--split-column", "split"], None),
    "one post of a label": ([*GOOD, "sad,,c,train"], [], "row 5 (line 6): label: the only post labelled 'c'"),
    "one post of a label, to learn from": ([*GOOD, "sad,,c,train"], ["--split-column", "split"], None),
    "a label that is not learned": (
        [*GOOD, "sad,,c,test"],
        ["--split-column", "split"],
        "row 5 (line 6): label: no training post is labelled 'c'",
    ),
    "no validation": (GOOD[:2], ["--split-column", "split"], "no post is marked validation"),
    "no text that is not shared": (
        ["good,,a,", "good,,a,", "good,,b,", "good,,b,"],
        [],
        "no validation part can be held out, because posts that share a picture or a text must stay together",
    ),
    "an unknown split": ([*GOOD, "sad,,a,dve"], ["--split-column", "split"], "the split is 'dve'"),
    "a post without a label": ([*GOOD, "sad,,,train"], [], "row 5 (line 6): label: the post has no label"),
    "one label": (["good,,a,", "bad,,a,"], [], "every post is labelled 'a'"),
    "a row of nothing": ([*GOOD, ",,a,train"], [], "row 5 (line 6): the post: has neither text nor picture"),
    "validation posts of another label": (GOOD, ["--validation", "OTHER"], "'c' is not a label of the training posts"),
    "a bad picture": ([*GOOD, "sad,lost.png,a,train"], [], "lost.png: no such file"),
    "a bad picture that is left out": ([*GOOD, "sad,lost.png,a,train"], SKIP, None),
    "a bad picture that is left out, of a post without a label": (
        [*GOOD, "sad,lost.png,,train"],
        SKIP,
        "row 5 (line 6): label: the post has no label",
    ),
    "a bad picture that is left out, of another label": (
        [*GOOD, "sad,lost.png,c,train"],
        SKIP,
        "row 5 (line 6): label: the only post labelled 'c'",
    ),
    "bad pictures of all posts of a label": (
        ["good,,a,", "bad,lost.png,b,", "fine,,a,", "sad,gone.png,b,"],
        SKIP,
        "row 1 (line 2): label: every post is labelled 'a'",
    ),
    "bad pictures of all posts for validation": (
        ["good,,a,train", "bad,,b,train", "fine,lost.png,a,validation"],
        [*SKIP, "--split-column", "split"],
        "no validation posts",
    ),
    "bad pictures of validation posts of their own": (GOOD, [*SKIP, "--validation", "LOST"], "no validation posts"),
    "a row of nothing, which only scoring leaves out": ([*GOOD, ",,a,train"], SKIP, "row 5 (line 6): the post: has"),
    "a malformed row, which only scoring leaves out": ([*GOOD, "a,b"], SKIP, "row 5 (line 6): the row: it has 2"),
    "a bad picture that is done without": ([*GOOD, "sad,lost.png,a,"], ["--on-bad-image", "missing"], None),
    "a bad picture that cannot be done without": (
        [*GOOD, ",lost.png,a,"],
        ["--on-bad-image", "missing"],
        "lost.png: no such file",
    ),
    "validation posts of their own": (GOOD, ["--validation", "SAME"], None),
}


@pytest.mark.parametrize("name", TABLES)
def test_check_and_train_judge_alike(name, jointune, tiny_text, tiny_image, tmp_path):
    rows, options, reason = TABLES[name]
    path = write(tmp_path / "posts.csv", rows)
    files = {"OTHER": write(tmp_path / "other.csv", ["sad,,c,"]), "SAME": write(tmp_path / "same.csv", ["sad,,a,"])}
    files["LOST"] = write(tmp_path / "lost.csv", ["sad,lost.png,a,"])
    options = [files.get(option, option) for option in options]
    code, said = jointune("check", path, *options)
    quick = ["--epochs", "1", "--epoch-steps", "1", "--precision", "fp32", "--quiet"]
    encoders = ["--text-encoder", tiny_text, "--image-encoder", tiny_image]
    trained, told = jointune("train", path, *options, "--out", tmp_path / "bundle", *encoders, *quick)
    if reason is None:
        assert (code, trained) == (0, 0), said + told
        assert "usable" in said
    else:
        assert (code, trained) == (1, 2), said + told
        (line,) = [line for line in said.splitlines() if reason in line]
        assert line.removeprefix("error: ") in told


def test_validation_is_a_fraction_or_a_file(refused, tmp_path):
    path = write(tmp_path / "posts.csv", GOOD)
    refused("check", path, "--validation", "1.5", says=["--validation 1.5: a fraction lies between 0 and 1"])
    refused("check", path, "--validation", "no.csv", says=["neither a fraction nor a file"])
    (tmp_path / "held.csv").write_text("text,image,label\na,lost.png,a\n")
    refused(
        "check", path, "--validation", tmp_path / "held.csv", code=1, says=["held.csv row 1 (line 2): ", "lost.png"]
    )


def test_splits_are_compared(jointune, tmp_path):
    rows = [f"train {number},,{'ab'[number % 2]},train" for number in range(100)]
    rows += [f"check {number},,{'ab'[number % 2]},validation" for number in range(100)]
    alike = write(tmp_path / "alike.csv", rows)
    code, said = jointune("check", alike, "--split-column", "split")
    assert code == 0, said
    assert "train: 100 posts, a 50%, b 50%\nvalidation: 100 posts, a 50%, b 50%\n" in said
    assert "note" not in said
    rows += [f"test {number},,{'ab'[number % 5 == 0]},test" for number in range(95)]
    rows += [f"TRAIN  {number},,{'ab'[number % 5 == 0]},test" for number in range(5)]
    said = jointune("check", write(tmp_path / "other.csv", rows), "--split-column", "split")[1]
    assert "test: 100 posts, a 80%, b 20%" in said
    assert "note: the labels of test are not distributed as those of train: a is 80% of test and 50% of train" in said
    assert "of validation are not" not in said
    assert "note: 5 of the posts of test share a picture or a text with posts of train" in said


def test_few_posts_differ_by_chance(jointune, tmp_path):
    rows = [f"train {number},,{'ab'[number % 2]},train" for number in range(100)]
    rows += [f"check {number},,{'aab'[number % 3]},validation" for number in range(9)]
    said = jointune("check", write(tmp_path / "posts.csv", rows), "--split-column", "split")[1]
    assert "validation: 9 posts, a 67%, b 33%" in said
    assert "note" not in said


def test_pictures_that_splits_share_are_counted(jointune, fresh_posts):
    path = fresh_posts()
    shutil.copy(path.parent / "0.png", path.parent / "8.png")
    said = jointune("check", path, "--split-column", "split")[1]
    assert "note: 1 of the posts of validation share a picture or a text with posts of train" in said


def test_columns_that_are_not_used_are_named(jointune, fresh_posts):
    assert "columns not used: id, split\n" in jointune("check", fresh_posts())[1]
    assert "columns not used: id\n" in jointune("check", fresh_posts(), "--split-column", "split")[1]


def test_several_labels_in_one_are_said(jointune, tiny_text, tiny_image, tmp_path):
    rows = [f"text {number},,{('a', 'b', 'a|b')[number % 3]}," for number in range(12)]
    path = write(tmp_path / "posts.csv", rows)
    note = "note: 4 posts have what looks like several labels in one ('a|b'): each combination counts as a label of "
    assert note in jointune("check", path)[1]
    encoders = ["--text-encoder", tiny_text, "--image-encoder", tiny_image]
    code, said = jointune("train", path, "--out", tmp_path / "bundle", *encoders, "--epochs", "0", "--quiet")
    assert (code, note in said) == (0, True), said
    assert "several labels in one" in (tmp_path / "bundle" / "README.md").read_text()


def test_labels_that_are_numbers_are_ordered_by_size(jointune, tiny_text, tiny_image, tmp_path):
    rows = [f"text {number},,{number % 12}," for number in range(48)]
    path, bundle, scored = write(tmp_path / "posts.csv", rows), tmp_path / "bundle", tmp_path / "scored.csv"
    encoders = ["--text-encoder", tiny_text, "--image-encoder", tiny_image]
    code, said = jointune("train", path, "--out", bundle, *encoders, "--epochs", "0", "--quiet", "--validation", "0.25")
    assert code == 0, said
    assert json.loads((bundle / "labels.json").read_text()) == [str(number) for number in range(12)]
    assert jointune("predict", bundle, path, "--out", scored, "--quiet")[0] == 0
    assert scored.read_text().splitlines()[0].endswith("confidence," + ",".join(f"p_{number}" for number in range(12)))


def test_how_many_texts_would_be_cut_and_how_many_words_are_unknown(jointune, refused, tiny_text, tmp_path):
    table = tmp_path / "posts.csv"
    table.write_text("text,image,label\n" + "".join(f"{'good ' * 20}{k},,{'ab'[k % 2]}\n" for k in range(8)))
    code, said = jointune("check", table, "--text-encoder", tiny_text, "--max-tokens", 12)
    assert code == 0, said
    assert "8 posts, all usable" in said
    assert (
        "Of 8 texts, 8 (100.0%) are cut at 12 tokens; the longest has 23. The tokenizer does not know 0.0% of" in said
    )
    assert "note: 8 of 8 texts (100%) are cut at 12 tokens, and half of those lose 11 or more" in said
    said = jointune("check", table)[1]
    assert "Of 8 texts, none are cut at 128 tokens" in said
    assert "note:" not in said
    refused("check", table, "--max-tokens", 600, says=["--max-tokens 600: the text encoder 'minilm-l6' takes 4 to 512"])
    code, said = jointune("check", table, "--text-encoder", "nobody/nothing")
    assert code == 0
    assert "Whether texts fit the text encoder is not checked: nobody/nothing is neither built in nor" in said


def test_what_decides_in_training_decides_here(jointune, refused, tiny_text, tmp_path):
    table = tmp_path / "posts.csv"
    table.write_text(
        "text,image,label\n" + "".join(f"{'good ' * 9}https://a.com/b {k},,{'ab'[k % 2]}\n" for k in range(8))
    )
    options = ["--text-encoder", tiny_text, "--max-tokens", 12]
    assert "8 (100.0%) are cut" in jointune("check", table, *options, "--normalise", "none")[1]
    assert "none are cut at 12 tokens" in jointune("check", table, *options, "--normalise", "links")[1]
    refused("check", table, "--normalise", "smileys", says=["--normalise smileys: choose among links"])
    refused("check", table, "--on-bad-image", "ignore", says=["--on-bad-image ignore: choose error"])


def test_the_text_in_pictures_counts_where_training_reads_it(
    jointune, refused, fresh_posts, tiny_text, tiny_clip, tmp_path, monkeypatch
):
    install(monkeypatch, tmp_path / "cache", lambda picture: "good " * 9)
    path = fresh_posts()
    options = ["--split-column", "split", "--max-tokens", 12]
    assert "none are cut at 12" in jointune("check", path, *options, "--text-encoder", tiny_text)[1]
    code, said = jointune("check", path, *options, "--text-encoder", tiny_text, "--read-image-text")
    assert (code, "(100.0%) are cut at 12 tokens" in said) == (0, True), said
    for command in (["check"], ["train", "--out", tmp_path / "bundle"]):
        refused(*command, path, "--text-encoder", tiny_clip, "--read-image-text", says=["no further than the first"])
    monkeypatch.setitem(sys.modules, "rapidocr_onnxruntime", None)
    refused("check", path, "--read-image-text", says=["reading the text in pictures needs", "'.[ocr]'"])


def test_a_language_that_the_text_encoder_does_not_know(jointune, tmp_path):
    table = tmp_path / "posts.csv"
    rows = "".join(f"आज का दिन बहुत अच्छा है {number},,a\nวันนี้อากาศไม่ดี {number},,b\n" for number in range(4))
    table.write_text("text,image,label\n" + rows, encoding="utf-8")
    said = jointune("check", table)[1]
    assert "note: the tokenizer of the text encoder minilm-l6 does not know" in said
    assert "Choose a text encoder for the language of these posts" in said


def test_a_table_without_quoting_loses_no_row(jointune, tmp_path):
    path = tmp_path / "posts.tsv"
    path.write_text('text\timage\tlabel\n"a\t\tx\nb said "c"\t\ty\nd"\t\tx\n"e" f\t\ty\n')
    code, said = jointune("check", path)
    assert code == 0, said
    assert "4 posts, all usable: 4 with a text, 0 with a picture; labels: x 2, y 2." in said
    assert "note: posts.tsv: read as a table without quoting" in said
