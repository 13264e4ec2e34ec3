"""A whole comparison: the grid, its cells on disk, crashes and resumption."""

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import fake_ocr, predictors
from helpers.lifeline import Lifeline
from jointune import JointuneWarning, compare, read_posts
from jointune.comparison.cells import Cell, Failure, load_result, save_failure, save_result, stored_results
from jointune.comparison.worker import Job, run_apart
from jointune.data.label_checks import class_numbers
from jointune.errors import InterruptedTraining, OutputError, PostsError, SettingsError
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.utils.progress import QuietBar

QUICK = {"guess": predictors.Guess, "words": predictors.Words}


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def changed(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}


@pytest.fixture
def own_processes():
    """For tests of what a process of its own does for a cell."""


@pytest.fixture(autouse=True)
def _here(request, cells_here):
    """All other tests run cells in this process."""
    with nullcontext() if "own_processes" in request.fixturenames else cells_here():
        yield


@pytest.fixture(scope="module")
def folds(posts_csv, tmp_path_factory, cells_here):
    folder = tmp_path_factory.mktemp("compare") / "report"
    with cells_here():
        comparison = compare(
            posts_csv, methods=QUICK, folds=3, seeds=2, label_budgets=[2, "all"], out=folder, progress=False
        )
    return comparison, folder


def test_one_row_for_each_method_fold_seed_and_budget(folds):
    table = folds[0].table()
    keys = [(row["method"], row["fold"], row["seed"], row["labels_per_class"]) for row in table]
    assert len(set(keys)) == len(keys) == 2 * 3 * 2 * 2
    assert {row["training_posts"] for row in table if row["labels_per_class"] == 2} == {4}
    for fold in range(3):
        tested = {row["test_posts"] for row in table if row["fold"] == fold}
        assert len(tested) == 1


def test_the_scores_are_those_of_the_methods(folds):
    comparison, _ = folds
    for row in comparison.table():
        if row["method"] == "words":
            wrong = -(-row["test_posts"] // 5)
            assert row["accuracy"] == pytest.approx(1 - wrong / row["test_posts"])
    lines = {(line.method, line.budget): line for line in comparison.summary().lines}
    assert lines["words", None].scores["accuracy"].value > 0.7 > lines["guess", None].scores["accuracy"].value


def test_the_summary_says_what_can_be_told_apart(folds):
    summary = folds[0].summary(reference="words")
    line = next(line for line in summary.lines if (line.method, line.budget) == ("guess", None))
    difference = line.differences["accuracy"]
    assert difference.low <= difference.value <= difference.high
    assert line.verdict("accuracy") == "not distinguishable", "three folds are too few"
    assert "words minus it" in str(summary)
    with pytest.raises(SettingsError, match="choose among guess, words"):
        folds[0].summary(reference="word")


def test_the_report_is_there_in_all_forms(folds):
    _, folder = folds
    assert {path.suffix for path in folder.iterdir() if path.is_file()} >= {".html", ".md", ".csv", ".json"}
    assert {row["method"] for row in rows_of(folder / "cells.csv")} == {"guess", "words"}
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "Cost with all training posts" in report
    assert "Cost with 2 training posts a label" in report


@pytest.mark.usefixtures("own_processes")
def test_a_cell_that_crashes_is_recorded_and_the_rest_goes_on(posts_csv, tmp_path, monkeypatch):
    methods = {"raising": predictors.Raising, "killed": predictors.Killed, "short": predictors.WrongShape, **QUICK}
    settings = {"folds": 2, "out": tmp_path / "report", "progress": False}
    comparison = compare(posts_csv, methods=methods, **settings)
    assert {result.cell.method for result in comparison.results} == {"guess", "words"}
    reasons = {failure.cell.method: failure.reason for failure in comparison.failures}
    assert "the method has a fault" in reasons["raising"]
    assert "killed by signal 9" in reasons["killed"]
    assert "predict_proba gave" in reasons["short"]
    assert "the method has a fault" in (tmp_path / "report" / "report.md").read_text()

    before = changed(tmp_path / "report")
    mended = tmp_path / "mended"
    mended.touch()
    monkeypatch.setenv("RAISING_IS_MENDED", str(mended))
    again = compare(posts_csv, methods=methods, resume=True, **settings)
    assert {failure.cell.method for failure in again.failures} == {"killed", "short"}
    after = changed(tmp_path / "report")
    kept = [name for name in before if name.endswith(".npz")]
    assert len(kept) == 4
    assert all(after[name] == before[name] for name in kept)


def test_resume_runs_what_is_missing_and_takes_more_methods_and_budgets(posts_csv, tmp_path):
    settings = {"folds": 2, "out": tmp_path / "report", "progress": False}
    compare(posts_csv, methods={"guess": predictors.Guess}, **settings)
    first = changed(tmp_path / "report")
    comparison = compare(posts_csv, methods=QUICK, label_budgets=[3, "all"], resume=True, **settings)
    assert len(comparison.table()) == 2 * 2 * 2
    assert {name: changed(tmp_path / "report")[name] for name in first} == first


def test_an_interrupt_keeps_what_is_finished(posts_csv, tmp_path):
    settings = {"folds": 2, "out": tmp_path / "report", "progress": False}
    with pytest.raises(KeyboardInterrupt):
        compare(posts_csv, methods={"guess": predictors.Guess, "words": predictors.Interrupted}, **settings)
    assert [result.cell.method for result in stored_results(tmp_path / "report" / "cells")] == ["guess"]
    assert len(compare(posts_csv, methods=QUICK, resume=True, **settings).table()) == 4


@pytest.fixture
def lifeline(tmp_path, monkeypatch):
    """What ``predictors.Endless`` holds as long as its process lives."""
    monkeypatch.setenv("LIFELINE", str(tmp_path / "lifeline"))
    lifeline = Lifeline(tmp_path / "lifeline")
    yield lifeline
    lifeline.close()


def test_ctrl_c_ends_the_process_of_a_cell_at_once(posts_csv, tmp_path, lifeline):
    class Interrupting(QuietBar):
        def note(self, text):
            raise KeyboardInterrupt

    train, validation, test = tuple(range(30)), tuple(range(30, 40)), tuple(range(40, 48))
    make = partial(predictors.Endless, 0)
    posts, labels = read_posts(posts_csv), ("negative", "positive")
    job = Job(Cell("endless", 0, 0, None), make, posts, labels, train, validation, test, tmp_path)
    with pytest.raises(InterruptedTraining, match="finished cells are kept"):
        run_apart(job, Interrupting())
    assert lifeline.begun(0)
    assert lifeline.ended(0)


def test_the_cell_of_a_killed_comparison_ends_too(posts_csv, lifeline):
    program = (
        f"import sys; sys.path = {sys.path!r}\nfrom helpers import predictors\nfrom jointune import compare\n"
        f"compare({str(posts_csv)!r}, methods={{'endless': predictors.Endless}}, folds=2, progress=False)"
    )
    comparing = subprocess.Popen([sys.executable, "-c", program])
    try:
        assert lifeline.begun()
    finally:
        comparing.kill()
        comparing.wait()
    assert lifeline.ended()


def test_a_folder_of_other_posts_or_settings_is_neither_resumed_nor_overwritten(posts_csv, tmp_path):
    folder = tmp_path / "report"
    compare(posts_csv, methods=QUICK, folds=2, out=folder, progress=False)
    with pytest.raises(OutputError, match="exists already"):
        compare(posts_csv, methods=QUICK, folds=2, out=folder, progress=False)
    with pytest.raises(OutputError, match="other protocol"):
        compare(posts_csv, methods=QUICK, folds=3, out=folder, resume=True, progress=False)
    with pytest.raises(OutputError, match="other posts and protocol"):
        compare(read_posts(posts_csv)[:40], methods=QUICK, folds=2, out=folder, resume=True, progress=False)
    about = (folder / "comparison.json").read_text()
    again = {"methods": QUICK, "folds": 2, "out": folder, "resume": True, "progress": False}
    with pytest.raises(OutputError, match="other posts and protocol"):
        compare(read_posts(posts_csv)[:40], **again, clip="some/clip")
    assert (folder / "comparison.json").read_text() == about, "what is refused changes nothing"
    older = json.dumps(json.loads(about) | {"format": 1})  # when methods did otherwise
    (folder / "comparison.json").write_text(older)
    with pytest.raises(OutputError, match=r"by another version of jointune.*replace it with force=True"):
        compare(posts_csv, **again)
    assert (folder / "comparison.json").read_text() == older
    (folder / "comparison.json").write_text(about)
    with pytest.raises(OutputError, match="other epochs"):
        compare(posts_csv, methods=QUICK, folds=2, out=folder, resume=True, progress=False, epochs=3)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else"):
        compare(posts_csv, methods=QUICK, folds=2, out=other, force=True, progress=False)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_a_checkpoint_may_be_named_later_as_long_as_nothing_stored_depends_on_it(posts_csv, tmp_path):
    again = {"methods": QUICK, "folds": 2, "out": tmp_path / "report", "progress": False, "resume": True}
    compare(posts_csv, **again)
    before = changed(tmp_path / "report")
    compare(posts_csv, **again, clip="some/clip", prompts="a {label} post")
    assert changed(tmp_path / "report") == before
    assert json.loads((tmp_path / "report" / "comparison.json").read_text())["setup"]["clip"] == "some/clip"
    save_failure(Failure(Cell("clip", 0, 0, None), "it broke", ""), tmp_path / "report" / "cells")
    with pytest.raises(OutputError, match="with other clip;"):
        compare(posts_csv, **again, clip="another/clip", prompts="a {label} post")
    with pytest.raises(OutputError, match="with other epochs and clip;"):
        compare(posts_csv, **again, epochs=3)


def test_replacing_takes_the_old_report_away_at_once_and_spares_what_is_the_users_own(posts_csv, tmp_path):
    folder = tmp_path / "report"
    compare(posts_csv, methods=QUICK, folds=2, out=folder, progress=False)
    (folder / "notes.csv").write_text("mine")
    replacing = {"methods": {"mine": predictors.Interrupted}, "folds": 2, "out": folder, "force": True}
    with pytest.raises(KeyboardInterrupt):
        compare(posts_csv, **replacing, progress=False)
    assert not [*folder.glob("report.*"), *folder.glob("cells*.csv"), *folder.glob("summary*")]
    assert (folder / "notes.csv").read_text() == "mine"


def test_posts_are_known_again_by_what_their_pictures_show(tmp_path):
    """Whether they are files or bytes, and wherever the files lie."""

    def posts(shade, folder=None):
        for number in range(16):
            image = io.BytesIO()
            Image.new("RGB", (8, 8), (shade, number, 0)).save(image, "PNG")
            row = {"text": f"post {number}", "label": "ab"[number % 2], "image": image.getvalue()}
            if folder:
                folder.mkdir(exist_ok=True)
                (folder / f"{number}.png").write_bytes(image.getvalue())
                row["image"] = folder / f"{number}.png"
            yield row

    again = {"methods": {"guess": predictors.Guess}, "folds": 2, "progress": False, "resume": True}
    for name, first, moved in (("bytes", None, None), ("files", tmp_path / "here", tmp_path / "there")):
        out = tmp_path / name
        compare(list(posts(0, first)), out=out, **again)
        compare(list(posts(0, moved)), out=out, **again)
        with pytest.raises(OutputError, match="other posts"):
            compare(list(posts(1, moved)), out=out, **again)


def test_each_image_is_opened_at_most_twice_before_the_first_cell(fresh_posts):
    """Once to check that it can be read, and once to know it again."""
    path, opened = fresh_posts(), Counter()

    def count(event, arguments):
        if event == "open" and str(arguments[0]).endswith(".png") and counting:
            opened[Path(arguments[0]).name] += 1

    counting = True
    sys.addaudithook(count)  # it cannot be taken away, but counts no more after this test
    try:
        with pytest.raises(KeyboardInterrupt):
            compare(path, methods={"mine": predictors.Interrupted}, folds=2, progress=False)
    finally:
        counting = False
    assert len(opened) == 48
    assert max(opened.values()) <= 2


def test_folds_in_spite_of_a_split_are_told(posts_csv):
    with pytest.warns(JointuneWarning, match="the split that the posts carry is not used; with folds=None"):
        compare(posts_csv, methods={"guess": predictors.Guess}, folds=2, progress=False)


@pytest.mark.usefixtures("own_processes")
def test_a_budget_that_is_named_twice_counts_once(posts_csv):
    methods = {"raising": predictors.Raising, "guess": predictors.Guess}
    found = compare(posts_csv, methods=methods, folds=2, label_budgets=["all", None, "all"], progress=False)
    assert (len(found.results), len(found.failures)) == (2, 2)


def test_a_label_that_nothing_can_be_learned_of_is_told_before_any_training(fresh_posts, tmp_path):
    path = fresh_posts()
    lines = path.read_text().splitlines()
    for row in [number for number, line in enumerate(lines) if line.endswith("validation")][:2]:
        lines[row] = re.sub("positive|negative", "furious", lines[row])
    path.write_text("\n".join(lines) + "\n")
    posts = read_posts(path, split_column="split")
    with pytest.raises(PostsError, match="no post to learn from is labelled 'furious'"):
        compare(posts, methods=QUICK, folds=None, out=tmp_path / "report", progress=False)


@pytest.mark.usefixtures("own_processes")
def test_a_method_of_ones_own_may_be_called_late(posts_csv):
    methods = {"text": predictors.Words, "image": predictors.Words, "late": predictors.Guess}
    found = compare(posts_csv, methods=methods, folds=2, progress=False)
    rows = {(row["method"], row["fold"]): row["accuracy"] for row in found.table()}
    assert rows["late", 0] != rows["text", 0]


@pytest.mark.usefixtures("own_processes")
def test_text_in_pictures_is_read_once_and_before_any_method(posts_csv, tmp_path, monkeypatch):
    """Methods run in processes of their own, which this OCR does not reach."""
    ocr = fake_ocr.install(monkeypatch, tmp_path / "cache", lambda _: "good")
    methods = {"reads": predictors.ReadsPictures}
    found = compare(posts_csv, methods=methods, folds=2, read_image_text=True, progress=False)
    assert not found.failures
    pictures = sum(post.image is not None for post in read_posts(posts_csv))
    assert 0 < ocr.pictures <= pictures


def test_a_cell_of_an_earlier_version_is_read_without_what_it_did_not_measure(folds, tmp_path):
    result = folds[0].results[0]
    save_result(result, tmp_path)
    (path,) = tmp_path.iterdir()
    with np.load(path) as file:
        stored = dict(file)
    about = json.loads(str(stored["about"]))
    assert about["cost"].pop("train_cpu_seconds") >= 0
    np.savez_compressed(path, **stored | {"about": np.array(json.dumps(about))})
    assert load_result(result.cell, tmp_path).cost == replace(result.cost, train_cpu_seconds=None)


def test_a_damaged_cell_is_named(posts_csv, tmp_path):
    folder = tmp_path / "report"
    compare(posts_csv, methods=QUICK, folds=2, out=folder, progress=False)
    cell = next((folder / "cells").glob("*.npz"))
    cell.write_bytes(cell.read_bytes()[:100])
    with pytest.raises(OutputError, match=cell.name):
        compare(posts_csv, methods=QUICK, folds=2, out=folder, resume=True, progress=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"methods": ["joint", "magic"]}, "'magic': choose among"),
        ({"methods": []}, "choose among"),
        ({"methods": ["clip"]}, "name one with clip"),
        ({"methods": ["clip"], "clip": "x", "read_image_text": True}, "one text, not two; leave out clip"),
        ({"methods": ["clip-zero-shot"], "clip": "x", "read_image_text": True}, "leave out clip-zero-shot"),
        ({"methods": {"mine": 3}}, "a function from a seed"),
        ({"label_budgets": ["few"]}, "'few' is neither"),
        ({"label_budgets": [0]}, "0 is neither"),
        ({"label_budgets": [16.7]}, "16.7 is neither"),
        ({"label_budgets": []}, "at least one"),
        ({"seeds": 0}, "seeds=0"),
        ({"seed": 3}, "chooses the seeds itself"),
        ({"folds": 1}, "folds=1"),
        ({"colour": "red"}, "colour: no setting"),
        ({"epochs": -1}, "epochs=-1"),
    ],
)
def test_impossible_arguments_are_told_before_any_training(posts_csv, tmp_path, monkeypatch, arguments, says):
    fake_ocr.install(monkeypatch, tmp_path / "cache", lambda _: "")
    with pytest.raises(SettingsError, match=says):
        compare(posts_csv, out=tmp_path / "report", progress=False, **arguments)
    assert not (tmp_path / "report").exists()


def test_posts_that_cannot_be_used_are_told_or_left_out_for_all_alike(fresh_posts, tmp_path):
    path = fresh_posts()
    (path.parent / "7.png").write_bytes(b"no picture")
    with pytest.raises(PostsError, match="row 8"):
        compare(path, methods=QUICK, folds=2, progress=False)
    skipped = compare(path, methods=QUICK, folds=2, on_bad_image="skip", progress=False)
    assert sum(row["test_posts"] for row in skipped.table() if row["method"] == "guess") == 47
    stripped = compare(path, methods=QUICK, folds=2, on_bad_image="missing", progress=False)
    assert sum(row["test_posts"] for row in stripped.table() if row["method"] == "guess") == 48


def test_posts_from_python_are_told_apart_though_they_have_no_row(tmp_path):
    from jointune import Post, Posts

    (tmp_path / "bad.png").write_bytes(b"no picture")
    rows = [
        Post(text=f"{'good' if number % 2 else 'bad'} {number}", label="positive" if number % 2 else "negative")
        for number in range(20)
    ]
    rows += [Post(text="good one more", image=tmp_path / "bad.png", label="positive")]
    skipped = compare(Posts(rows), methods={"guess": predictors.Guess}, folds=2, on_bad_image="skip", progress=False)
    assert sum(row["test_posts"] for row in skipped.table()) == 20


def test_a_picture_that_reading_found_fault_with_is_left_out_too(fresh_posts):
    path = fresh_posts()
    lines = path.read_text().splitlines()
    lines[8] = lines[8].replace("7.png", "../../7.png")
    path.write_text("\n".join(lines) + "\n")
    posts = read_posts(path, image_root=path.parent)
    with pytest.raises(PostsError, match="row 8"):
        compare(posts, methods=QUICK, folds=2, progress=False)
    for policy, number in (("skip", 47), ("missing", 48)):
        found = compare(posts, methods={"guess": predictors.Guess}, folds=2, on_bad_image=policy, progress=False)
        assert sum(row["test_posts"] for row in found.table()) == number


def test_the_other_methods_through_the_same_interface(posts_csv, tiny_settings, tiny_clip):
    posts = read_posts(posts_csv, split_column="split")
    settings = {name: value for name, value in tiny_settings.items() if name != "progress"}
    methods = ["joint-paper", "clip", "clip-zero-shot", "visualbert", "mual", "splitting"]
    with pytest.raises(SettingsError, match="prompts: none for the label 'negative'"):
        compare(posts, methods=methods, folds=None, clip=tiny_clip, prompts={"positive": "good"}, **settings)
    arguments = {"methods": methods, "folds": None, "clip": tiny_clip, "progress": False}
    comparison = compare(posts, **arguments, **settings)
    assert not comparison.failures, comparison.failures
    found = {row["method"]: row for row in comparison.table()}
    assert set(found) == set(methods)
    assert found["clip-zero-shot"]["trained_parameters"] == 0
    assert all(row["trained_parameters"] > 0 for name, row in found.items() if name != "clip-zero-shot")
    logs = {result.cell.method: result.log for result in comparison.results}
    assert logs["joint-paper"][-1]["epoch"] > settings["epochs"] >= logs["mual"][-1]["epoch"]


def test_our_own_methods_through_the_same_interface(posts_csv, tiny_settings, tmp_path):
    """Those that take a code path of their own; late fusion trains nothing where its parts are at hand."""
    posts = read_posts(posts_csv, split_column="split")
    settings = {name: value for name, value in tiny_settings.items() if name not in ("progress",)}
    methods = ["joint", "frozen", "text", "image", "late"]
    comparison = compare(posts, methods=methods, folds=None, out=tmp_path / "report", progress=False, **settings)
    assert not comparison.failures
    found = {row["method"]: row for row in comparison.table()}
    assert set(found) == set(methods)
    assert found["joint"]["accuracy"] >= 0.75
    assert (
        found["frozen"]["trained_parameters"]
        < found["text"]["trained_parameters"]
        < found["joint"]["trained_parameters"]
    )
    assert found["late"]["train_seconds"] == pytest.approx(
        found["text"]["train_seconds"] + found["image"]["train_seconds"]
    )
    assert found["joint"]["train_cpu_seconds"] > found["joint"]["train_seconds"] / 20, "it computes"
    assert found["late"]["train_cpu_seconds"] == pytest.approx(
        found["text"]["train_cpu_seconds"] + found["image"]["train_cpu_seconds"]
    )
    assert all(row["peak_memory_mib"] > 50 and row["ms_per_post"] > 0 for row in found.values())
    about = json.loads((tmp_path / "report" / "comparison.json").read_text())
    assert about["posts"]["number"] == 48
    results = {result.cell.method: result for result in comparison.results}
    kept = [entry["step"] for entry in results["joint"].log if entry["kept"]]
    assert results["joint"].kept_start == (kept == [0])
    assert results["frozen"].kept_start is False
    mixed = results["late"].details["weight of text"]
    averaged = {
        part: mixed * getattr(results["text"], part) + (1 - mixed) * getattr(results["image"], part)
        for part in ("validation_scores", "test_scores")
    }
    truth = class_numbers(posts.take(results["late"].validation), ["negative", "positive"])
    temperature = calibrate(averaged["validation_scores"], truth).temperature
    assert results["late"].details["temperature of the average"] == pytest.approx(temperature, rel=1e-4)
    expected = at_temperature(averaged["test_scores"], temperature)
    np.testing.assert_allclose(results["late"].test_scores, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["joint", "frozen", "joint-paper"])
def test_what_no_cell_reads_is_not_computed(name):
    from jointune.comparison.methods import METHODS, Setup

    assert METHODS[name].make(Setup(), 0).keep_vectors == 0
