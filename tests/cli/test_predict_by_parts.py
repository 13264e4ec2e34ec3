"""jointune predict by parts: a share of the parts in each process, into one folder with a manifest."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from helpers.scoring_process import start


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    rows = {}
    for file in sorted(folder.glob("*.csv")):
        with open(file, newline="", encoding="utf-8") as opened:
            for row in csv.DictReader(opened):
                assert row["id"] not in rows, "a row is there twice"
                rows[row["id"]] = row
    return rows


def content_of(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.parent.name != "_writing"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture
def parts(posts_csv, tmp_path):
    """The posts in a folder of five tables, one of them empty, with their pictures."""
    with open(posts_csv, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    folder = tmp_path / "parts"
    shutil.copytree(posts_csv.parent, folder, ignore=shutil.ignore_patterns("*.csv"))
    for number in range(5):
        with open(folder / f"part{number}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows[number::4] if number < 4 else [])
    return folder


@pytest.fixture
def whole(jointune, tiny_bundle, posts_csv, tmp_path):
    """The rows of the whole table, scored at once."""
    (tmp_path / "whole").mkdir()
    code, said = jointune("predict", tiny_bundle, posts_csv, "--out", tmp_path / "whole" / "s.csv")
    assert code == 0, said
    return rows_of(tmp_path / "whole")


def assert_alike(found, expected):
    assert found.keys() == expected.keys()
    for name, row in expected.items():
        for column, value in row.items():
            if column.startswith(("p_", "confidence")):
                assert float(found[name][column]) == pytest.approx(float(value), abs=1e-5)
            else:
                assert found[name][column] == value


def test_the_shares_together_are_the_whole(jointune, tiny_bundle, parts, whole, tmp_path):
    out = tmp_path / "scored"
    code, said = jointune("predict", tiny_bundle, parts, "--part", "1/2", "--out", out)
    assert code == 0, said
    assert "2 parts of 5 with 24 posts" in said
    code, said = jointune("predict", tiny_bundle, parts, "--part", "0/2", "--out", out)
    assert code == 0, said
    assert "3 parts of 5 with 24 posts" in said
    assert_alike(rows_of(out), whole)
    assert sorted(file.name for file in out.iterdir()) == [
        "_manifest",
        "_run.json",
        *(f"part{n}.csv" for n in range(5)),
    ]
    entries = [json.loads(file.read_text()) for file in (out / "_manifest").iterdir()]
    assert sum(entry["rows"] for entry in entries) == 48
    # Others read the folder as one table.
    code, said = jointune("predict", tiny_bundle, out, "--image-root", parts, "--out", tmp_path / "again.csv")
    assert code == 0, said


def test_finished_parts_are_not_scored_again_but_changed_and_damaged_ones_are(jointune, tiny_bundle, parts, tmp_path):
    out = tmp_path / "scored"
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out", out)
    assert jointune(*run)[0] == 0
    first, times = content_of(out), {file.name: file.stat().st_mtime_ns for file in out.glob("*.csv")}
    (out / "part1.csv").write_text("damaged")
    (out / "_manifest" / "part2.csv.json").write_text("{")
    with open(parts / "part3.csv", "a") as file:
        file.write("new,happy,,positive,train\n")
    assert jointune(*run)[0] == 0
    changed = {file.name for file in out.glob("*.csv") if file.stat().st_mtime_ns != times[file.name]}
    assert changed == {"part1.csv", "part2.csv", "part3.csv"}
    assert rows_of(out).keys() >= {"new", "0"}
    second = content_of(out)
    assert {name for name in first if first[name] != second[name]} == {"part3.csv", "_manifest/part3.csv.json"}


def test_bad_rows_are_listed_beside_the_parts(jointune, tiny_bundle, parts, tmp_path):
    with open(parts / "part1.csv", "a") as file:
        file.write("bad1,,lost.png,positive,train\nbad2,happy,lost.png,positive,train\n")
    run = ("predict", tiny_bundle, parts, "--part", "0/1")
    code, said = jointune(*run, "--out", tmp_path / "strict")
    assert code == 2
    assert "part1.csv row 13" in said
    assert "lost.png: no such file" in said
    assert "1 of 5 parts are finished and kept: go on with the same command and --resume" in said
    code, said = jointune(*run, "--out", tmp_path / "scored", "--on-bad-image", "skip")
    assert code == 0, said
    assert "2 posts were left out (--on-bad-image skip)" in said
    listed = (tmp_path / "scored" / "_problems" / "part1.csv.csv").read_text().splitlines()
    assert listed[0] == "row,file,reason,remedy"
    assert len(listed) == 3
    assert len(rows_of(tmp_path / "scored")) == 48


@pytest.mark.parametrize("ending", [".tsv", ".jsonl", ".json", ".parquet"])
def test_parts_keep_their_format(jointune, tiny_bundle, posts_csv, tmp_path, ending):
    import pandas as pd

    from jointune.data.read import Columns, PostsFile

    table, folder = pd.read_csv(posts_csv).drop(columns="image"), tmp_path / "in"
    folder.mkdir()
    file = folder / f"one{ending}"
    match ending:
        case ".tsv":
            table.to_csv(file, sep="\t", index=False)
        case ".parquet":
            table.to_parquet(file)
        case _:
            table.to_json(file, orient="records", lines=ending == ".jsonl")
    code, said = jointune(
        "predict", tiny_bundle, folder, "--image-column", "", "--part", "0/1", "--out", tmp_path / "o"
    )
    assert code == 0, said
    (scored,) = (one for one in (tmp_path / "o").iterdir() if one.name.startswith("one"))
    assert scored.name == (f"one{ending}" if ending != ".json" else "one.json.jsonl")
    posts = list(PostsFile(scored, Columns(image=None, label=None)))
    assert [str(post.fields["id"]) for post in posts] == [str(number) for number in table["id"]]
    assert all(post.fields["prediction"] for post in posts)


def test_other_runs_are_not_mixed(jointune, refused, tiny_bundle, parts, tmp_path):
    out = tmp_path / "scored"
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out", out)
    assert jointune(*run)[0] == 0
    refused(*run, "--prefix", "new_", says=["holds scored parts with other --prefix", "resume with the same"])
    refused(*run, "--force", says=["--force and --part", "remove"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out", tmp_path / "mine")
    refused(*run, says=["exists already and holds something else"])
    run = ("predict", tiny_bundle, parts, "--part", "0/1", "--out", parts)
    refused(*run, says=["is or holds the posts themselves"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workers", "2"], ["--workers is of a Ray cluster", "--ray ADDRESS"]),
        (["--cpus-per-worker", "2"], ["--cpus-per-worker is of a Ray cluster"]),
        (["--ray", "127.0.0.1:1", "--workers", "0"], ["--workers 0", "2:8"]),
        (["--ray", "127.0.0.1:1", "--workers", "3:2"], ["--workers 3:2"]),
        (["--ray", "127.0.0.1:1", "--gpus-per-worker", "1.5"], ["--gpus-per-worker 1.5"]),
        (["--ray", "127.0.0.1:1", "--part", "0/2"], ["--ray and --part"]),
        (["--part", "2/2"], ["--part 2/2", "from 0/2 to 1/2"]),
        (["--part", "0/2", "--sets", "lac"], ["--sets is of prediction sets"]),
    ],
)
def test_impossible_options_are_refused(refused, tiny_bundle, parts, tmp_path, options, says):
    refused("predict", tiny_bundle, parts, "--out", tmp_path / "scored", *options, says=says)
    assert not (tmp_path / "scored").exists()


@pytest.mark.slow
def test_killed_and_concurrent_processes_lose_and_double_nothing(tiny_bundle, parts, whole, tmp_path):
    out = tmp_path / "scored"
    undisturbed = start(tiny_bundle, parts, "--part", "0/1", "--out", tmp_path / "calm")
    undisturbed.join(60)
    for attempt in range(5):
        processes = [start(tiny_bundle, parts, "--part", f"{index}/2", "--out", out) for index in range(2)]
        processes[attempt % 2].join(0.2 * attempt)
        processes[attempt % 2].kill()
        for process in processes:
            process.join(60)
    last = [start(tiny_bundle, parts, "--part", f"{index}/2", "--out", out) for index in (0, 1, 1)]
    for process in last:
        process.join(60)
        assert process.exitcode == 0
    assert_alike(rows_of(out), whole)
    assert content_of(out) == content_of(tmp_path / "calm")
