"""jointune predict: every row in order with its own scores, whole or not at all."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jointune import JointClassifier
from jointune.posts.read import Columns, PostsFile
from odd_pictures import unusable, usable


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return JointClassifier.load(tiny_bundle)


def rows_of(path: Path) -> list[dict[str, object]]:
    return [dict(post.fields) for post in PostsFile(path, Columns(label=None))]


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_row_gets_its_own_scores_in_order(jointune, classifier, tiny_bundle, posts_csv, tmp_path, ending):
    before = posts_csv.read_bytes()
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / f"s{ending}")
    assert code == 0, said
    assert "48 posts" in said
    posts = list(PostsFile(posts_csv))
    scored = rows_of(tmp_path / f"s{ending}")
    assert [{name: str(row[name]) for name in posts[0].fields} for row in scored] == [dict(p.fields) for p in posts]
    expected = classifier.predict_proba(posts)
    found = np.array([[float(row[f"p_{label}"]) for label in classifier.classes_] for row in scored])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert [row["prediction"] for row in scored] == classifier.classes_[expected.argmax(1)].tolist()
    np.testing.assert_allclose([float(row["confidence"]) for row in scored], expected.max(1), atol=1e-6)
    assert posts_csv.read_bytes() == before


def test_what_people_have_is_scored(jointune, tiny_bundle, tmp_path):
    rows = [{"id": 7, "text": "good 😀 שלום", "image": str(path)} for path in usable(tmp_path / "good").values()]
    rows += [{"id": 7, "text": "long " * 20_000}, {"id": 7, "text": "half \ud83d"}, {"id": 7, "text": "nul\0"}]
    code, said = jointune("predict", tiny_bundle, write_jsonl(tmp_path / "p.jsonl", rows), "--out", tmp_path / "s.csv")
    assert code == 0, said
    scored = rows_of(tmp_path / "s.csv")
    assert len(scored) == len(rows)
    assert scored[-3]["text"] == "long " * 20_000
    assert {row["id"] for row in scored} == {"7"}


@pytest.fixture
def some_bad(tmp_path):
    """Posts with a bad picture in every third row; one leads outside the image root."""
    good = list(usable(tmp_path / "pictures" / "good").values())
    rows, bad = [], {}
    kinds = [str(path.relative_to(tmp_path / "pictures")) for path, _ in unusable(tmp_path / "pictures").values()]
    kinds += ["../outside.png", "https://example.org/a.png"]
    for number, kind in enumerate(kinds):
        rows += [
            {"id": 3 * number + i, "text": f"good sun {number} {i}", "image": f"good/{good[number].name}"}
            for i in (0, 1)
        ]
        rows.append({"id": 3 * number + 2, "text": f"bad rain {number}", "image": kind})
        bad[3 * number + 2] = kind
    return write_jsonl(tmp_path / "posts.jsonl", rows), bad, tmp_path / "pictures"


def test_a_bad_picture_stops_before_anything_is_written(refused, tiny_bundle, some_bad, tmp_path):
    path, bad, root = some_bad
    out = tmp_path / "s.csv"
    says = [f"{len(bad)} posts of posts.jsonl cannot be used", "row 3 (line 3)", "--on-bad-image skip"]
    refused("predict", tiny_bundle, path, "--out", out, "--image-root", root, says=says)
    assert not out.exists()
    assert not list(tmp_path.glob(".s.csv*"))


@pytest.mark.parametrize("policy", ["skip", "missing"])
def test_bad_pictures_are_counted_and_listed_and_no_row_gets_the_scores_of_another(
    jointune, classifier, tiny_bundle, some_bad, tmp_path, policy
):
    path, bad, root = some_bad
    code, said = jointune(
        "predict", tiny_bundle, path, "--out", tmp_path / "s.jsonl", "--image-root", root, "--on-bad-image", policy
    )
    assert code == 0, said
    listed = [line for line in said.splitlines() if line.startswith(f"{policy}: posts.jsonl row ")]
    assert [int(line.split(" row ")[1].split()[0]) - 1 for line in listed] == list(bad)
    for line, kind in zip(listed, bad.values(), strict=True):
        assert kind in line
    assert f"{len(bad)} posts were {'left out' if policy == 'skip' else 'used without their picture'}" in said
    posts = [json.loads(line) for line in path.read_text().splitlines()]
    expected = [post for post in posts if policy == "missing" or post["id"] not in bad]
    scored = rows_of(tmp_path / "s.jsonl")
    assert [row["id"] for row in scored] == [post["id"] for post in expected]
    assert f"wrote {tmp_path / 's.jsonl'}: {len(expected):,} posts" in said
    for post, row in zip(expected, scored, strict=True):
        image = None if post["id"] in bad else root / post["image"]
        (alone,) = classifier.predict_proba([{"text": post["text"], "image": image}])
        np.testing.assert_allclose([row[f"p_{label}"] for label in classifier.classes_], alone, atol=1e-5)


def test_a_bad_picture_without_a_text_is_skipped_but_never_scored_from_nothing(
    jointune, refused, tiny_bundle, tmp_path
):
    (tmp_path / "p.csv").write_text("text,image\n,nowhere.png\ngood,nowhere.png\n")
    command = ("predict", tiny_bundle, tmp_path / "p.csv", "--out", tmp_path / "s.csv", "--on-bad-image")
    refused(*command, "missing", says=["p.csv row 1 (line 2)", "nowhere.png", "no such file", "--on-bad-image skip"])
    code, said = jointune(*command, "skip")
    assert code == 0, said
    assert "2 posts were left out" in said
    assert rows_of(tmp_path / "s.csv") == []


def test_a_malformed_row_is_named_before_the_model_is_loaded(refused, tmp_path):
    (tmp_path / "p.csv").write_text("text,image\na,\nb,,\n")
    says = ["p.csv row 2 (line 3): the row: it has 3 fields and the header 2"]
    refused("predict", tmp_path / "no bundle", tmp_path / "p.csv", "--out", tmp_path / "s.csv", says=says)


@pytest.mark.parametrize(
    ("name", "header", "says"),
    [
        ("s.txt", "text,image", ["the ending .txt is not known; use one of .csv"]),
        ("s", "text,image", ["the ending (none) is not known"]),
        ("s.csv", "text,image,prediction", ["a column 'prediction' already", "rename it first"]),
        ("s.csv", "text,image,p_positive", ["a column 'p_positive' already", "rename it first"]),
        ("s.csv", "text,picture", ["there is no column 'image'", "--image-column"]),
    ],
)
def test_outputs_and_columns_that_do_not_go_together(refused, tiny_bundle, tmp_path, name, header, says):
    path = tmp_path / "p.csv"
    path.write_text(f"{header}\na,{',x' * (header.count(',') - 1)}\n")
    refused("predict", tiny_bundle, path, "--out", tmp_path / name, says=says)
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


def test_an_existing_output_is_spared_and_the_posts_even_with_force(
    refused, jointune, tiny_bundle, fresh_posts, tmp_path
):
    path, out = fresh_posts(6), tmp_path / "s.csv"
    out.write_text("of yesterday")
    refused("predict", tiny_bundle, path, "--out", out, says=["s.csv exists already", "--force"])
    assert out.read_text() == "of yesterday"
    before = path.read_bytes()
    refused("predict", tiny_bundle, path, "--out", path, "--force", says=["is or holds the posts themselves"])
    refused("predict", tiny_bundle, path, "--out", path.parent, "--force", says=["is or holds the posts"])
    assert path.read_bytes() == before
    assert jointune("predict", tiny_bundle, path, "--out", out, "--force")[0] == 0
    assert len(rows_of(out)) == 6


def test_an_output_where_none_can_be(refused, tiny_bundle, posts_csv):
    refused("predict", tiny_bundle, posts_csv, "--out", posts_csv / "s.csv", says=["is a file, not a folder"])


def test_a_saved_dataset_is_scored_with_its_pictures(jointune, tiny_bundle, tmp_path):
    import datasets
    from PIL import Image

    rows = {"text": ["good", "bad"], "image": [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]}
    features = datasets.Features({"text": datasets.Value("string"), "image": datasets.Image()})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    code, said = jointune("predict", tiny_bundle, tmp_path / "saved", "--out", tmp_path / "s.parquet")
    assert code == 0, said
    scored = pd.read_parquet(tmp_path / "s.parquet")
    assert scored["text"].tolist() == ["good", "bad"]
    assert all(isinstance(image["bytes"], bytes) for image in scored["image"])


@pytest.fixture
def full_disk(tmp_path):
    """A disk of a few pages; needs root's rights."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "jointune-test", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no rights to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(refused, tiny_bundle, tmp_path, full_disk, ending):
    texts = np.random.default_rng(0).integers(0, 10, (40, 4000)).astype(str)
    rows = [{"id": number, "text": "".join(row), "image": ""} for number, row in enumerate(texts)]
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    out = full_disk / f"s{ending}"
    refused("predict", tiny_bundle, path, "--out", out, says=[f"{out} could not be written: the disk is full"])
    assert list(full_disk.iterdir()) == []


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
def test_a_bundle_that_does_not_fit_on_the_disk(tiny_bundle, full_disk):
    from jointune import OutputError

    with pytest.raises(OutputError, match="bundle could not be written: the disk is full; nothing was left"):
        JointClassifier.load(tiny_bundle).save(full_disk / "bundle")
    assert list(full_disk.iterdir()) == []


def test_a_kill_in_the_middle_leaves_no_output(tiny_bundle, tmp_path):
    # So many rows that the command is caught in the middle of writing them.
    path = tmp_path / "p.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "image"])
        writer.writerows(["good sun " * 40, ""] for _ in range(30_000))
    out = tmp_path / "out" / "s.csv"
    started = subprocess.Popen(
        [sys.executable, "-m", "jointune", "predict", str(tiny_bundle), str(path), "--out", str(out), "--quiet"],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and started.poll() is None:
            half = list(out.parent.glob(".s.csv.*")) if out.parent.exists() else []
            if half and half[0].stat().st_size > 100_000:
                break
            time.sleep(0.01)
        assert started.poll() is None, started.stdout.read()
        started.send_signal(signal.SIGKILL)
    finally:
        started.kill()
        started.communicate()
    assert half
    assert not out.exists()
    # What a kill leaves behind is hidden and is not mistaken for posts, and does not hinder the next run.
    assert all(file.name.startswith(".") for file in out.parent.iterdir())
