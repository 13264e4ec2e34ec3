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

from helpers.odd_pictures import unusable, usable
from helpers.scoring_process import CHUNK, start
from helpers.watched_forward import stopped_after
from helpers.web import serve
from jointune import JointClassifier
from jointune.data.read import Columns, PostsFile
from jointune.output.writers import added_columns
from jointune.utils.files import write_manifest


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


def test_it_is_unsure_where_its_confidence_is_too_low(jointune, classifier, tiny_bundle, posts_csv, tmp_path):
    from jointune.evaluation.calibration import least_confidence

    confidences = classifier.predict_proba(posts_csv).max(1)
    answered = classifier.calibration_["answered"]
    wanted = max(accuracy for _, accuracy, _ in answered)
    least = least_confidence(classifier.calibration_, wanted, classifier.classes_.tolist())
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "s.csv", "--abstain", wanted)
    assert code == 0, said
    unsure = [row["prediction"] == "unsure" for row in rows_of(tmp_path / "s.csv")]
    assert unsure == (confidences < least).tolist()
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "t.csv", "--abstain", 2)
    assert code == 2
    assert "between 0 and 1" in said


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
    assert f"{len(bad)} posts were {'left out' if policy == 'skip' else 'used without a picture'}" in said
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


@pytest.fixture
def no_bundle(tmp_path):
    """A folder that looks like a bundle until it is loaded."""
    folder = tmp_path / "no bundle"
    folder.mkdir()
    for name in ("config.json", "manifest.json"):
        (folder / name).write_text("{}")
    return folder


def test_a_malformed_row_is_named_before_the_model_is_loaded(refused, no_bundle, tmp_path):
    (tmp_path / "p.csv").write_text("text,image\na,\nb,,\n")
    says = ["p.csv row 2 (line 3): the row: it has 3 fields and the header 2"]
    refused("predict", no_bundle, tmp_path / "p.csv", "--out", tmp_path / "s.csv", says=says)


def test_a_row_with_nothing_is_named_before_the_model_is_loaded(refused, no_bundle, tmp_path):
    (tmp_path / "p.csv").write_text("text,image\na,\n,\n,gone.png\n")
    command = ("predict", no_bundle, tmp_path / "p.csv", "--out", tmp_path / "s.csv", "--on-bad-image")
    says = [
        "p.csv row 2 (line 3): the post: has neither text nor picture",
        "(--on-bad-image skip leaves such posts out)",
    ]
    refused(*command, "error", says=says)
    refused(*command, "missing", says=says)
    refused(*command, "skip", says=["names no format"])


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        (".csv", "text,image\ngood,\n,\nbad,,,\nfine,\n,gone.png\n"),
        (".jsonl", '{"text": "good", "image": null}\n{"text": " "}\n[1]\n{"text": "fine"}\n{"image": "gone.png"}\n'),
    ],
)
def test_skip_leaves_out_every_row_that_cannot_be_used(jointune, tiny_bundle, tmp_path, ending, content):
    path, out = tmp_path / f"p{ending}", tmp_path / "s.csv"
    path.write_text(content)
    code, said = jointune("predict", tiny_bundle, path, "--out", out, "--on-bad-image", "skip")
    assert code == 0, said
    assert "3 posts were left out" in said
    assert f"wrote {out}: 2 posts" in said
    assert [row["text"] for row in rows_of(out)] == ["good", "fine"]
    with open(tmp_path / "s.csv.skipped.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["row"].split(" (")[0] for row in listed] == [f"p{ending} row {number}" for number in (2, 3, 5)]
    assert [row["file"].split("/")[-1] for row in listed] == ["the post", "the row", "gone.png"]


@pytest.mark.parametrize(
    ("name", "header", "says"),
    [
        ("s.txt", "text,image", ["the ending .txt is not known; use one of .csv"]),
        ("s", "text,image", ["the ending (none) is not known"]),
        ("s.csv", "text,image,prediction", ["a column 'prediction' already", "rename it", "--prefix new_"]),
        ("s.csv", "text,image,p_positive", ["a column 'p_positive' already", "rename it", "--prefix new_"]),
        ("s.csv", "text,picture", ["there is no column 'image'", "--image-column"]),
    ],
)
def test_outputs_and_columns_that_do_not_go_together(refused, tiny_bundle, tmp_path, name, header, says):
    path = tmp_path / "p.csv"
    path.write_text(f"{header}\na,{',x' * (header.count(',') - 1)}\n")
    refused("predict", tiny_bundle, path, "--out", tmp_path / name, says=says)
    assert [file.name for file in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_scored_file_can_be_scored_again(jointune, tiny_bundle, posts_csv, tmp_path, ending):
    first, again, both = (tmp_path / f"{name}{ending}" for name in ("first", "again", "both"))
    assert jointune("predict", tiny_bundle, posts_csv, "--out", first)[0] == 0
    before = first.read_bytes()
    code, said = jointune("predict", tiny_bundle, first, "--image-root", posts_csv.parent, "--out", again)
    assert code == 0, said
    assert f"prediction, confidence, p_negative, p_positive are replaced in again{ending}; first{ending} keeps" in said
    assert rows_of(again) == rows_of(first)
    assert first.read_bytes() == before
    options = ("--image-root", posts_csv.parent, "--prefix", "new_")
    code, said = jointune("predict", tiny_bundle, first, "--out", both, *options)
    assert code == 0, said
    assert "replaced" not in said
    row = rows_of(both)[0]
    assert list(row)[-8:] == [
        f"{prefix}{name}" for prefix in ("", "new_") for name in added_columns(["negative", "positive"])
    ]
    assert row["new_p_positive"] == row["p_positive"]
    code, said = jointune("predict", tiny_bundle, both, "--out", tmp_path / f"third{ending}", *options)
    assert code == 0, said
    assert rows_of(tmp_path / f"third{ending}") == rows_of(both)


@pytest.mark.parametrize(
    "content",
    [
        "text,image,prediction,confidence,p_a,p_b\ngood,,rain,high,0.1,0.9\n",  # no probability
        "text,image,prediction,confidence,p_a,p_b\ngood,,rain,0.9,7,0.9\n",
        "text,image,prediction,confidence,p_a,p_b,mine\ngood,,rain,0.9,0.1,0.9,x\n",  # not at the end
        "text,image,confidence,prediction,p_a,p_b\ngood,,0.9,rain,0.1,0.9\n",  # in another order
        "text,image,prediction,confidence\ngood,,rain,0.9\n",  # without probabilities
    ],
)
def test_columns_that_no_scoring_added_are_never_replaced(refused, tiny_bundle, tmp_path, content):
    (tmp_path / "p.csv").write_text(content)
    says = ["already, which scoring adds: rename it", "--prefix new_"]
    refused("predict", tiny_bundle, tmp_path / "p.csv", "--out", tmp_path / "s.csv", says=says)


def test_a_model_with_other_labels_leaves_no_column_of_the_earlier_one(jointune, tiny_bundle, tmp_path):
    (tmp_path / "p.csv").write_text("text,image,prediction,confidence,p_joy,p_anger\ngood,,joy,0.9,0.9,0.1\n")
    code, said = jointune("predict", tiny_bundle, tmp_path / "p.csv", "--out", tmp_path / "s.csv")
    assert code == 0, said
    assert list(rows_of(tmp_path / "s.csv")[0]) == ["text", "image", *added_columns(["negative", "positive"])]


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
    from PIL import Image

    import datasets

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
    refused(
        "predict", tiny_bundle, path, "--out", out, says=[f"{out}.partial", "could not be written: the disk is full"]
    )
    assert list(full_disk.iterdir()) == []


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
def test_a_bundle_that_does_not_fit_on_the_disk(tiny_bundle, full_disk):
    from jointune import OutputError

    with pytest.raises(OutputError, match="bundle could not be written: the disk is full; nothing was left"):
        JointClassifier.load(tiny_bundle).save(full_disk / "bundle")
    assert list(full_disk.iterdir()) == []


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(jointune, tiny_bundle, posts_csv, tmp_path, ending):
    whole, out = tmp_path / f"whole{ending}", tmp_path / f"s{ending}"
    assert jointune("predict", tiny_bundle, posts_csv, "--out", whole)[0] == 0
    command = ("predict", tiny_bundle, posts_csv, "--out", out)
    with stopped_after(2, KeyboardInterrupt()):
        code, said = jointune(*command)
    assert code == 130
    assert "16 of 48 posts are kept; go on with the same command and --resume" in " ".join(said.split())
    assert not out.exists()
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / f"s{ending}.partial").iterdir()}
    assert len(before) == 5
    pulled = RuntimeError("the plug was pulled")
    with stopped_after(2, pulled), pytest.raises(RuntimeError, match="plug"):
        jointune(*command, "--resume")
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / f"s{ending}.partial").iterdir()}
    assert before.items() <= after.items()
    assert len(after) == 9
    code, said = jointune(*command, "--resume")
    assert code == 0, said
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([out.name, whole.name])


@pytest.mark.usefixtures("small_chunks")
def test_an_unfinished_run_is_not_discarded_unasked_nor_mixed_with_another(
    jointune, refused, tiny_bundle, fresh_posts, tmp_path
):
    posts, out = fresh_posts(24), tmp_path / "s.csv"
    command = ("predict", tiny_bundle, posts, "--out", out)
    with stopped_after(1, KeyboardInterrupt()):
        assert jointune(*command)[0] == 130
    partial = tmp_path / "s.csv.partial"
    says = [f"{partial} exists already and holds an unfinished run", "go on with --resume", "replace it with --force"]
    refused(*command, says=says)
    for options, differs in (
        (("--image-column", ""), "--image-column"),
        (("--image-root", posts.parent), "--image-root"),
        (("--device", "cpu"), "--device"),
        (("--encoding", "utf-8"), "--encoding"),
    ):
        refused(*command, *options, "--resume", says=[f"an unfinished run with other {differs};", "--force"])
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    (other / "manifest.json").write_text((other / "manifest.json").read_text() + "\n")
    refused("predict", other, posts, "--out", out, "--resume", says=["run with other bundle;"])
    content = posts.read_bytes()
    posts.write_bytes(content.replace(b"good", b"fine"))
    refused(*command, "--resume", says=["run with other posts;"])
    assert len(list(partial.iterdir())) == 3
    code, said = jointune(*command, "--force")
    assert code == 0, said
    assert len(rows_of(out)) == 24
    assert "good" not in out.read_text()
    assert not partial.exists()


@pytest.mark.usefixtures("small_chunks")
def test_a_run_with_another_least_confidence_is_another_run(jointune, refused, tiny_bundle, posts_csv, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    command = ("predict", bundle, posts_csv, "--out", tmp_path / "s.csv", "--abstain", 0)
    with stopped_after(1, KeyboardInterrupt()):
        assert jointune(*command)[0] == 130
    calibration = json.loads((bundle / "calibration.json").read_text())
    calibration["answered"] = [[0.75, 1.0, 1.0]]
    (bundle / "calibration.json").write_text(json.dumps(calibration))
    write_manifest(bundle, json.loads((bundle / "manifest.json").read_text()))
    refused(*command, "--resume", says=["run with other bundle and --abstain"])


def test_resume_starts_from_the_beginning_where_there_is_nothing_yet(jointune, tiny_bundle, posts_csv, tmp_path):
    assert jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "s.csv", "--resume")[0] == 0
    assert len(rows_of(tmp_path / "s.csv")) == 48


def test_a_folder_of_the_users_is_never_taken_for_parts(refused, tiny_bundle, posts_csv, tmp_path):
    (tmp_path / "s.csv.partial").mkdir()
    (tmp_path / "s.csv.partial" / "thesis.txt").write_text("mine")
    for option in ("--quiet", "--resume", "--force"):
        refused("predict", tiny_bundle, posts_csv, "--out", tmp_path / "s.csv", option, says=["holds something else"])
    assert (tmp_path / "s.csv.partial" / "thesis.txt").read_text() == "mine"


@pytest.mark.usefixtures("small_chunks")
def test_a_bad_picture_keeps_what_was_finished_until_it_is_repaired(
    jointune, refused, tiny_bundle, fresh_posts, tmp_path
):
    posts, out = fresh_posts(32), tmp_path / "s.csv"
    assert jointune("predict", tiny_bundle, posts, "--out", tmp_path / "whole.csv")[0] == 0
    command = ("predict", tiny_bundle, posts, "--out", out)
    picture = posts.parent / "20.png"
    picture.rename(tmp_path / "20.png")
    says = ["posts.csv row 21 (line 22)", "20.png: no such file", "16 of 32 posts are scored and kept", "--resume"]
    refused(*command, says=says)
    refused(*command, "--resume", says=says)
    (tmp_path / "20.png").rename(picture)
    assert jointune(*command, "--resume")[0] == 0
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.usefixtures("small_chunks")
def test_after_a_bad_picture_one_may_go_on_without_its_post(jointune, refused, tiny_bundle, fresh_posts, tmp_path):
    posts, out = fresh_posts(32), tmp_path / "s.csv"
    (posts.parent / "20.png").unlink()
    command = ("predict", tiny_bundle, posts, "--out", out)
    refused(*command, says=["posts.csv row 21"])
    with stopped_after(1, KeyboardInterrupt()):
        assert jointune(*command, "--resume", "--on-bad-image", "skip")[0] == 130
    # From here on it makes a difference.
    says = ["run with other --on-bad-image;"]
    refused(*command, "--resume", says=says)
    refused(*command, "--resume", "--on-bad-image", "missing", says=says)
    code, said = jointune(*command, "--resume", "--on-bad-image", "skip")
    assert code == 0, said
    assert [int(row["id"]) for row in rows_of(out)] == [number for number in range(32) if number != 20]


@pytest.mark.usefixtures("small_chunks")
def test_what_a_bad_row_of_a_typed_table_says_can_be_done(jointune, refused, tiny_bundle, posts_csv, tmp_path):
    rows = pd.read_csv(posts_csv)[["id", "text"]].head(32)
    rows.loc[20, "text"] = None
    rows.assign(image=None).to_parquet(tmp_path / "p.parquet")
    out = tmp_path / "s.csv"
    command = ("predict", tiny_bundle, tmp_path / "p.parquet", "--out", out)
    says = ["row 21: the post: has neither text nor picture", "16 of 32 posts are scored and kept"]
    refused(*command, says=[*says, "--resume, or add --on-bad-image skip to it; with a table that was changed"])
    code, said = jointune(*command, "--resume", "--on-bad-image", "skip")
    assert code == 0, said
    assert [int(row["id"]) for row in rows_of(out)] == [number for number in range(32) if number != 20]


@pytest.mark.usefixtures("small_chunks")
def test_only_what_resume_takes_is_suggested(jointune, refused, tiny_bundle, fresh_posts, tmp_path):
    posts, out = fresh_posts(32), tmp_path / "s.csv"
    rows = [dict(row, text="" if row["id"] == "20" else row["text"]) for row in rows_of(posts)]
    for number in (3, 20):
        (posts.parent / f"{number}.png").rename(tmp_path / f"{number}.png")
    command = ("predict", tiny_bundle, write_jsonl(posts.parent / "p.jsonl", rows), "--out", out)
    says = ["row 21", "16 of 32 posts are scored and kept", "with another --on-bad-image, or a table that was changed"]
    refused(*command, "--on-bad-image", "missing", says=says)
    refused(*command, "--on-bad-image", "skip", "--resume", says=["an unfinished run with other --on-bad-image"])
    (tmp_path / "20.png").rename(posts.parent / "20.png")
    code, said = jointune(*command, "--on-bad-image", "missing", "--resume")
    assert code == 0, said
    assert "1 post was used without a picture" in said


def test_rows_that_are_left_out_are_listed_in_a_file_beside_the_output(
    jointune, refused, tiny_bundle, some_bad, posts_csv, tmp_path
):
    path, bad, root = some_bad
    out, skipped = tmp_path / "s.csv", tmp_path / "s.csv.skipped.csv"
    skipped.write_text("mine")
    command = ("predict", tiny_bundle, path, "--out", out, "--image-root", root, "--on-bad-image", "skip")
    refused(*command, says=[f"{skipped} exists already", "--force"])
    assert skipped.read_text() == "mine"
    code, said = jointune(*command, "--force")
    assert code == 0, said
    assert f"{len(bad)} posts were left out (--on-bad-image skip); {skipped} lists them." in said
    with open(skipped, newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["row"] for row in listed] == [f"posts.jsonl row {number + 1} (line {number + 1})" for number in bad]
    assert all(kind in row["file"] for row, kind in zip(listed, bad.values(), strict=True))
    assert all(row["reason"] and row["remedy"] for row in listed)
    # Where there is nothing to list there is no list, nor that of an earlier run.
    command = ("predict", tiny_bundle, posts_csv, "--out", out, "--on-bad-image", "skip", "--force")
    assert jointune(*command)[0] == 0
    assert not skipped.exists()


def test_a_kill_between_the_outputs_loses_neither(jointune, tiny_bundle, fresh_posts, tmp_path, monkeypatch):
    from jointune.output.resumable import Parts

    posts, out = fresh_posts(8), tmp_path / "s.csv"
    (posts.parent / "3.png").unlink()
    command = ("predict", tiny_bundle, posts, "--out", out, "--on-bad-image", "skip")
    replace = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target == out:
            raise RuntimeError("the plug was pulled")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)  # the moment between two system calls
        with pytest.raises(RuntimeError, match="plug"):
            jointune(*command)
    assert (tmp_path / "s.csv.skipped.csv").exists()
    assert not out.exists()
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "discard", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jointune(*command, "--resume")
    assert len(rows_of(out)) == 7
    assert jointune(*command, "--resume")[0] == 0
    assert len(rows_of(out)) == 7
    assert sorted(file.name for file in tmp_path.iterdir()) == ["posts", "s.csv", "s.csv.skipped.csv"]


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
@pytest.mark.usefixtures("small_chunks")
def test_a_disk_that_fills_up_later_keeps_the_parts(refused, jointune, tiny_bundle, tmp_path, full_disk):
    rows = [{"id": number, "text": f"good {number} " + "x" * 2000, "image": ""} for number in range(40)]
    path, out = write_jsonl(tmp_path / "p.jsonl", rows), full_disk / "s.csv"
    (full_disk / "others").write_bytes(bytes(24_000))
    refused(
        "predict",
        tiny_bundle,
        path,
        "--out",
        out,
        says=["the disk is full", "of 40 posts are scored and kept", "--resume"],
    )
    (full_disk / "others").unlink()
    subprocess.run(["mount", "-o", "remount,size=1m", str(full_disk)], check=True)
    assert jointune("predict", tiny_bundle, path, "--out", out, "--resume")[0] == 0
    assert [int(row["id"]) for row in rows_of(out)] == list(range(40))
    assert [file.name for file in full_disk.iterdir()] == ["s.csv"]


def test_parquet_goes_through_parts_with_its_types_and_its_pictures(
    jointune, tiny_bundle, posts_csv, tmp_path, small_chunks
):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = [(posts_csv.parent / f"{number}.png").read_bytes() for number in range(4)]
    table = pa.table(
        {
            "text": ["good", None, "bad", "fine"],
            "image": pa.array(pictures, pa.binary()),
            "when": pa.array([0, 1, 2, None], pa.timestamp("s")),
            "kind": pa.array(["x", "y", "x", "z"]).dictionary_encode(),
            "small": pa.array([1, None, 2, 3], pa.uint8()),
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    small_chunks(2)
    code, said = jointune("predict", tiny_bundle, tmp_path / "p.parquet", "--out", tmp_path / "s.parquet")
    assert code == 0, said
    scored = pq.read_table(tmp_path / "s.parquet")
    before = pq.read_table(tmp_path / "p.parquet")
    assert scored.select(before.column_names).to_pylist() == before.to_pylist()
    assert scored.schema.field("small").type == pa.uint8()
    assert pq.ParquetFile(tmp_path / "s.parquet").num_row_groups == 1
    classifier = JointClassifier.load(tiny_bundle)
    expected = classifier.predict_proba(
        [{"text": text, "image": image} for text, image in zip(table["text"].to_pylist(), pictures, strict=True)]
    )
    found = np.stack([scored[f"p_{label}"].to_numpy() for label in classifier.classes_], 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("moments", [3, pytest.param(10, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_and_double_no_row(
    jointune, tiny_bundle, posts_csv, tmp_path, moments, small_chunks
):
    rows = [
        {"id": number, "text": f"good sun {number % 7} " * 4, "image": str(posts_csv.parent / f"{number % 48}.png")}
        for number in range(250 * (moments + 1))
    ]
    for number in range(0, len(rows), 333):
        rows[number]["image"] = "nowhere.png"
    posts = write_jsonl(tmp_path / "p.jsonl", rows)
    command = (tiny_bundle, posts, "--on-bad-image", "skip", "--out")
    whole, out = tmp_path / "whole.csv", tmp_path / "out" / "s.csv"
    small_chunks(CHUNK)
    assert jointune("predict", *command, whole)[0] == 0
    partial = tmp_path / "out" / "s.csv.partial"

    def read() -> int:
        return max((int(file.name.split("-")[1].split(".")[0]) for file in partial.glob("*.finished.json")), default=0)

    random = np.random.default_rng(moments)
    kills = 0
    while not out.exists():
        before = read()
        process = start(*command, out, "--resume")
        # From the first new part on, so that each run is killed while it scores, writes or joins.
        until = time.monotonic() + 60
        while time.monotonic() < until and process.is_alive() and read() == before:
            time.sleep(0.001)
        if kills < moments:
            time.sleep(random.uniform(0, 0.2))
            process.kill()
            kills += 1
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        assert out.exists() or read() > before
        # What a kill leaves behind is hidden and not mistaken for posts or parts.
        assert {file.name for file in out.parent.iterdir() if not file.name.startswith(".")} <= {
            "s.csv",
            "s.csv.partial",
            "s.csv.skipped.csv",
        }
    if partial.exists():  # the last kill was after the output and before the cleaning up
        assert jointune("predict", *command, out, "--resume")[0] == 0
    assert kills > moments // 2
    assert out.read_bytes() == whole.read_bytes()
    skipped = (tmp_path / "out" / "s.csv.skipped.csv").read_bytes()
    assert skipped == (tmp_path / "whole.csv.skipped.csv").read_bytes()
    assert not partial.exists()


def test_posts_and_pictures_behind_addresses(jointune, refused, tiny_bundle, fresh_posts, tmp_path):
    posts = fresh_posts(12)
    assert jointune("predict", tiny_bundle, posts, "--out", tmp_path / "s.jsonl")[0] == 0
    expected = [row["p_positive"] for row in rows_of(tmp_path / "s.jsonl")]
    with serve(posts.parent) as server:
        out = tmp_path / "remote.jsonl"
        code, said = jointune("predict", tiny_bundle, f"{server.address}/posts.csv", "--out", out)
        assert code == 0, said
        assert [row["p_positive"] for row in rows_of(out)] == expected
        local = [dict(row, image=f"{server.address}/{row['image']}") for row in rows_of(posts)]
        path, out = write_jsonl(tmp_path / "p.jsonl", local), tmp_path / "fetched.jsonl"
        refused("predict", tiny_bundle, path, "--out", out, says=["an address, not a path", "--remote-images"])
        code, said = jointune("predict", tiny_bundle, path, "--out", out, "--remote-images")
        assert code == 0, said
        assert [row["p_positive"] for row in rows_of(out)] == expected


def test_a_signal_removes_the_copy_of_a_table_behind_an_address(tiny_bundle, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with serve(tmp_path) as server:
        command = ["predict", tiny_bundle, f"{server.address}/slow/posts.csv", "--out", tmp_path / "scored.csv"]
        process = subprocess.Popen(
            [sys.executable, "-m", "jointune", *map(str, command)],
            env=os.environ | {"TMPDIR": str(temporary)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not server.asked["/slow/posts.csv"]:
                assert process.poll() is None
                time.sleep(0.02)
            assert sum(path.name.startswith("jointune-posts-") for path in temporary.iterdir()) == 1
            process.terminate()
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
            process.wait()
    assert list(temporary.iterdir()) == []
