"""jointune train: posts that cannot be learned from are named before anything is trained, and nothing is lost."""

import inspect
import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.odd_pictures import unusable, usable
from jointune import JointClassifier
from jointune.cli.train import train
from jointune.config import SETTINGS


@pytest.fixture(scope="module")
def tiny(tiny_text, tiny_image):
    """Options of a training run of a second."""
    return (
        f"--text-encoder={tiny_text}", f"--image-encoder={tiny_image}", "--epochs=1", "--batch-size=8",
        "--precision=fp32", "--evaluations-per-epoch=1", "--quiet",
    )  # fmt: skip


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_people_have_is_learned_from(jointune, tiny, tmp_path):
    texts = ["good 😀", "שלום עולם", "long " * 20_000, "half \ud83d", "", "two\nlines", "nul\0", "a", "b"]
    rows = [
        {"id": 7, "text": texts[number % len(texts)] and f"{texts[number % len(texts)]} {number}", "image": str(path)}
        for number, path in enumerate(usable(tmp_path / "good").values())
    ]
    rows += [{"id": 7, "text": f"text alone {number}"} for number in range(9)]
    rows = [row | {"label": [True, 1, 2.0][number % 3]} for number, row in enumerate(rows)]
    path = write_jsonl(tmp_path / "posts.jsonl", rows)
    code, said = jointune("train", path, "--out", tmp_path / "bundle", "--validation", "0.2", *tiny)
    assert code == 0, said
    assert JointClassifier.load(tmp_path / "bundle").classes_.tolist() == ["1", "2", "True"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bundle", "good", "posts.jsonl"]


@pytest.fixture
def nothing_written(tmp_path):
    """Checks, after the test, that the command wrote nothing and left its posts alone."""
    folder = tmp_path / "posts"
    folder.mkdir()
    yield folder
    assert [file.name for file in tmp_path.iterdir()] == ["posts"]


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("text,image,label\n", (), ["posts.csv: no posts"]),
        ("text,image,label\na,,x\nb,,x\nc,,x\n", (), ["row 1 (line 2): label: every post is labelled 'x'", "add"]),
        ("text,image,label\na,,x\nb,,x\nc,,y\n", (), ["row 3 (line 4): label: the only post labelled 'y'", "merge"]),
        ("text,image,label\na,,x\nb,,\nc,,y\n", (), ["row 2 (line 3): label: the post has no label", "label it"]),
        ("text,image,label\na,,x\nb\nc,,y\n", (), ["row 2 (line 3): the row: it has 1 fields and the header 3"]),
        ("text,image,label\na,,x\n,,x\nc,,y\n", (), ["row 2 (line 3): the post: has neither text nor picture"]),
        (b"text,image,label\n\xe9,,x\n", (), ["row 1 (line 2), column 1: byte 0xe9 is not UTF-8", "--encoding cp1252"]),
        ("text,image\na,\n", (), ["there is no column 'label' (there are: text, image)", "--label-column"]),
        ("text,image,label\na,,x\n", ("--split-column=part",), ["no column 'part'", "--split-column"]),
        (
            "text,image,label,split\na,,x,train\nb,,y,fold 3\nc,,y,train\nd,,x,validation\n",
            ("--split-column=split",),
            ["row 2 (line 3): split: the split is 'fold 3'; use one of train, validation, test"],
        ),
        ("text,image,label\na,,x\nb,,x\nc,,y\nd,,y\n", ("--validation=nowhere.csv",), ["neither a fraction nor"]),
        ("text,image,label\na,,x\nb,,x\nc,,y\nd,,y\n", ("--validation=1.5",), ["a fraction lies between 0 and 1"]),
        ("text,image,label\na,,x\nA ,,x\nb,,y\nB,,y\n", ("--validation=0.5",), ["no validation part can be held out"]),
        ("text,image,label\na,,x\nb,,x\nc,,y\nd,,y\n", ("--on-bad-image=ignore",), ["choose error, skip or missing"]),
        ("text,image,label\na,,x\n", ("--encoding=klingon",), ["give --encoding a name that Python knows"]),
    ],
)  # fmt: skip
def test_posts_that_cannot_be_learned_from(refused, tiny, nothing_written, content, options, says):
    path = nothing_written / "posts.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused("train", path, "--out", nothing_written.parent / "bundle", *options, *tiny, says=says)


def test_every_bad_picture_is_named_before_training(refused, tiny, nothing_written):
    bad = unusable(nothing_written / "bad")
    rows = [{"text": f"text {number}", "image": "", "label": "ab"[number % 2]} for number in range(8)]
    rows += [{"text": f"more {kind}", "image": str(path), "label": "a"} for kind, (path, _) in bad.items()]
    path = write_jsonl(nothing_written / "posts.jsonl", rows)
    said = refused("train", path, "--out", nothing_written.parent / "bundle", *tiny, says=["--on-bad-image skip"])
    for number, (picture, reason) in enumerate(bad.values(), 9):
        (line,) = [
            line for line in said.splitlines() if f"posts.jsonl row {number} (line {number}): {picture}: " in line
        ]
        assert reason in line


@pytest.mark.parametrize("policy", ["skip", "missing"])
def test_bad_pictures_are_counted_and_listed(jointune, tiny, fresh_posts, tmp_path, policy):
    path = fresh_posts()
    bad = [
        row for row in path.read_text().splitlines() if row.split(",")[0] in ("3", "8", "10")
    ]  # train, validation, test
    assert [row.split(",")[-1] for row in bad] == ["train", "validation", "test"]
    for row in bad:
        (path.parent / row.split(",")[2]).write_bytes(b"")
    code, said = jointune(
        "train", path, "--split-column=split", "--out", tmp_path / "bundle", "--on-bad-image", policy, *tiny
    )
    assert code == 0, said
    for number, row in ((4, "3.png"), (9, "8.png"), (11, "10.png")):
        assert f"{policy}: posts.csv row {number} (line {number + 1}): {path.parent / row}: an empty file" in said
    data = JointClassifier.load(tmp_path / "bundle").data_
    assert sum(data["training"].values()) == 32 - (policy == "skip")
    assert sum(data["validation"].values()) == 8 - (policy == "skip")
    assert f"on {8 - (policy == 'skip')} posts" in said


def test_a_bad_picture_among_the_test_posts_is_named_before_training(refused, tiny, fresh_posts, tmp_path):
    path = fresh_posts()
    (path.parent / "10.png").write_bytes(b"")
    arguments = ("train", path, "--split-column=split", "--out", tmp_path / "bundle", *tiny)
    said = refused(
        *arguments, says=["posts.csv row 11 (line 12)", "10.png: an empty file of 0 bytes", "--on-bad-image"]
    )
    assert "validation in" not in said
    assert [file.name for file in tmp_path.iterdir()] == ["posts"]


def test_a_validation_that_the_split_column_outdoes_is_named(jointune, tiny, posts_csv, tmp_path):
    options = ("--split-column=split", "--out", tmp_path / "bundle", *tiny)
    code, said = jointune("train", posts_csv, "--validation=0.3", *options)
    assert (code, "note: --validation 0.3 is not used; the column 'split' divides" in said) == (0, True), said
    code, said = jointune("train", posts_csv, *options, "--force")
    assert (code, "--validation" in said) == (0, False), said
    assert "validation in fp32: accuracy" in said
    assert "test in fp32: accuracy" in said


def test_unseen_labels_in_the_validation_file(refused, tiny, posts_csv, tmp_path):
    (tmp_path / "held.csv").write_text("text,image,label\na,,positive\nb,,joyful\n")
    says = ["held.csv row 2 (line 3): label: 'joyful' is not a label of the training posts (negative, positive)"]
    refused("train", posts_csv, "--validation", tmp_path / "held.csv", "--out", tmp_path / "b", *tiny, says=says)
    assert [file.name for file in tmp_path.iterdir()] == ["held.csv"]


def test_an_output_that_exists_or_cannot_be(refused, tiny, tiny_bundle, fresh_posts, tmp_path):
    path = fresh_posts()
    before = sorted(path.parent.iterdir())
    out = tmp_path / "bundle"
    out.mkdir()
    refused("train", path, "--out", out, *tiny, says=["bundle exists already", "--force"])
    refused("train", path, "--out", path.parent, "--force", *tiny, says=["is or holds the posts"])
    refused("train", path, "--out", path, "--force", *tiny, says=["is or holds the posts themselves"])
    holidays = tmp_path / "holidays"
    holidays.mkdir()
    (holidays / "beach.jpg").touch()
    refused("train", path, "--out", holidays, "--force", *tiny, says=["--force spares"])
    assert (holidays / "beach.jpg").exists()
    refused("train", path, "--out", path / "bundle", *tiny, says=["is a file, not a folder"])
    assert sorted(path.parent.iterdir()) == before
    partial = tmp_path / "new.partial"
    partial.mkdir()
    (partial / "state.pt").touch()
    refused("train", path, "--out", tmp_path / "new", *tiny, says=["unfinished run", "--resume", "--force"])
    # Not even --force discards an unfinished run for posts that turn out to be unusable.
    path.write_text("text,image,label\n")
    refused("train", path, "--out", tmp_path / "new", "--force", *tiny, says=["no posts"])
    assert (partial / "state.pt").exists()


@pytest.mark.parametrize("option", ["--quiet", "--resume", "--force"])
def test_a_folder_of_the_users_is_never_taken_for_an_unfinished_run(refused, tiny, posts_csv, tmp_path, option):
    thesis = tmp_path / "m.partial" / "thesis" / "ch1.txt"
    thesis.parent.mkdir(parents=True)
    thesis.write_text("mine")
    refused("train", posts_csv, "--out", tmp_path / "m", option, *tiny, says=["m.partial", "holds something else"])
    assert thesis.read_text() == "mine"
    assert not (tmp_path / "m").exists()


def test_only_the_state_of_an_unfinished_run_is_discarded(jointune, tiny, posts_csv, tmp_path):
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / "state.pt").write_bytes(b"of another run")
    (partial / ".state.pt.k1ll3d.pt").write_bytes(b"half of one")
    (partial / "notes.txt").write_text("mine")
    code, said = jointune("train", posts_csv, "--out", tmp_path / "m", "--force", *tiny)
    assert code == 0, said
    assert [file.name for file in partial.iterdir()] == ["notes.txt"]


def test_force_replaces_a_bundle(jointune, tiny, posts_csv, tmp_path):
    for options in ((), ("--force", "--seed=1")):
        code, said = jointune("train", posts_csv, "--out", tmp_path / "bundle", *options, *tiny)
        assert code == 0, said
    assert JointClassifier.load(tmp_path / "bundle").seed == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


def test_every_setting_has_an_option():
    offered = set(inspect.signature(train).parameters)
    assert set(SETTINGS) - offered == {"device", "progress"}, "--quiet is the option of the second"


def test_duplicates_do_not_straddle_the_validation_fraction(jointune, tiny, tmp_path):
    """Four pictures, each posted six times: a fraction of a fifth must take one whole, here of either label."""
    rows = []
    for number in range(4):
        Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows += [
            {"text": f"own words {number} {i}", "image": f"{number}.png", "label": "ab"[number % 2]} for i in range(6)
        ]
    path = write_jsonl(tmp_path / "posts.jsonl", rows)
    code, said = jointune("train", path, "--validation", "0.3", "--out", tmp_path / "bundle", *tiny)
    assert code == 0, said
    held = JointClassifier.load(tmp_path / "bundle").data_["validation"]
    assert all(count % 6 == 0 for count in held.values()), held


@pytest.mark.parametrize(("options", "epochs"), [((), 0), (("--epochs=2",), 2)])
def test_options_win_over_a_preset(jointune, tiny, posts_csv, tmp_path, options, epochs):
    others = [option for option in tiny if not option.startswith("--epochs")]
    out = tmp_path / "bundle"
    code, said = jointune("train", posts_csv, "--out", out, "--preset=fast", *others, *options)
    assert code == 0, said
    assert JointClassifier.load(out).epochs == epochs


def test_a_preset_that_there_is_not(refused, posts_csv, tmp_path):
    refused("train", posts_csv, "--out", tmp_path / "out", "--preset=quick", says=["--preset quick", "fast, default"])
