"""A whole search: its trials, their storage, failures, interruptions and resumption."""

import csv
import json
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace

import pytest

from conftest import SumFusion
from helpers.full_disk import files_up_to
from jointune import JointClassifier, read_posts, tune
from jointune.errors import (
    EncoderError,
    InterruptedTraining,
    JointuneWarning,
    MissingExtraError,
    OutputError,
    PostsError,
    SettingsError,
    TooLittleMemoryError,
)
from jointune.targets.single_label import SingleLabel
from jointune.tuning.result import write_report
from jointune.tuning.study import FUSIONS as USUAL_FUSIONS
from jointune.tuning.study import SPACE, Budget, finished_trials, importance, make_space, open_study

SEARCHED = {"fusion", "modality_dropout", "label_smoothing", "weight_decay"}
FUSIONS = ("gated:8", "concat:8")


@pytest.fixture(scope="module")
def parts(posts_csv):
    posts = read_posts(posts_csv, split_column="split")
    return posts.in_split("train"), posts.in_split("validation")


@pytest.fixture(scope="module")
def settings(parts, tiny_settings):
    """Arguments of a search whose trials take a fraction of a second."""
    return tiny_settings | {
        "validation": parts[1],
        "fusions": FUSIONS,
        "epochs": 1,
        "train_layers": 0.75,
        "evaluations_per_epoch": 1,
    }


@pytest.fixture(scope="module")
def searched(parts, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune") / "tuning"
    return tune(parts[0], trials=12, out=folder, **settings), folder


class Interrupting:
    """A fusion that does something else when a given training, counted from 0, makes it."""

    def __init__(self, at, action):
        self.calls, self.at, self.action = 0, at, action

    def __call__(self, dims):
        self.calls += 1
        if self.calls == self.at + 1:
            self.action()
        return SumFusion(dims)


def raising(reason):
    def action():
        raise reason

    return action


@pytest.fixture(scope="module")
def with_fusion(settings):
    """Arguments with a fusion of one's own, which is not searched."""
    others = {name: value for name, value in settings.items() if name != "fusions"}
    return lambda fusion: others | {"fusion": fusion}


def without_times(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_the_first_trial_is_the_default_recipe(searched):
    usual = JointClassifier().get_params()
    first = searched[0].trials[0]
    assert {name: first[name] for name in SEARCHED - {"fusion"}} == {
        name: usual[name] for name in SEARCHED - {"fusion"}
    }
    assert first["fusion"] == "gated:8", "the first one that is named, where the default is not"


def test_the_default_recipe_is_among_what_is_searched():
    import optuna

    study = optuna.create_study()
    study.enqueue_trial({name: JointClassifier().get_params()[name] for name in SPACE})
    trial = study.ask()
    for name, (kind, values) in make_space(USUAL_FUSIONS, ()).items():
        assert getattr(trial, f"suggest_{kind}")(name, **values) == JointClassifier().get_params()[name]


def test_there_is_a_row_for_each_trial(searched):
    tuned, _ = searched
    assert [row["trial"] for row in tuned.trials] == list(range(12))
    for row in tuned.trials:
        assert set(row) == {"trial", *SEARCHED, *SingleLabel.metric_names, "seconds", "error"}
        assert 0 <= row["accuracy"] <= 1
        assert row["fusion"] in FUSIONS
    assert len({row["weight_decay"] for row in tuned.trials}) == 12


def test_the_best_scores_highest_and_the_surest_of_equals_is_chosen(searched):
    tuned, _ = searched
    chosen = tuned.trials[tuned.best_trial]
    assert chosen["accuracy"] == max(row["accuracy"] for row in tuned.trials)
    equals = [row for row in tuned.trials if row["accuracy"] == chosen["accuracy"]]
    assert chosen["log_loss"] == min(row["log_loss"] for row in equals)
    assert {name: tuned.best[name] for name in SEARCHED} == {name: chosen[name] for name in SEARCHED}


def test_training_with_the_best_settings_repeats_the_best_trial(searched, parts):
    tuned, _ = searched
    classifier = JointClassifier(**tuned.best, progress=False).fit(parts[0], validation=parts[1])
    assert classifier.metrics_.log_loss == tuned.trials[tuned.best_trial]["log_loss"]


def test_log_loss_may_be_what_is_searched_for(parts, settings):
    tuned = tune(parts[0], trials=2, metric="log_loss", **settings)
    assert tuned.trials[tuned.best_trial]["log_loss"] == min(row["log_loss"] for row in tuned.trials)
    assert tuned.best["metric"] == "log_loss"
    assert tuned.summary().splitlines()[0].split()[1:3] == ["log", "loss"]


def test_the_summary_says_what_was_learned(searched):
    tuned, _ = searched
    said = tuned.summary()
    assert "0 (default)" in said
    assert "All 12 trials are done." in said
    assert "One standard error" in said
    assert len(said.split("\n\n")[0].splitlines()) <= 7


def test_a_gain_is_tested_against_chance(searched):
    """Eight validation posts tell nothing apart, and the default recipe is not the best by its log loss."""
    tuned, _ = searched
    assert tuned.best_trial != 0
    assert not tuned.gain.distinguishable
    assert "not distinguishable from chance" in tuned.summary()
    assert tuned.gain.p_value == 1, "a p-value is multiplied by the number of rivals"


def test_it_says_what_mattered():
    """One fusion that cannot learn, and nothing else that matters."""

    def objective(trial):
        score = 0.8 if trial.suggest_categorical("fusion", FUSIONS) == FUSIONS[0] else 0.4
        trial.suggest_float("weight_decay", 0.001, 0.3)
        trial.set_user_attr("scores", {"accuracy": score, "macro_f1": 0.5})
        return score

    study = open_study(None)
    study.optimize(objective, n_trials=12)
    shares = importance(study, "accuracy", seed=0)
    assert next(iter(shares)) == "fusion"
    assert shares["fusion"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert importance(study, "macro_f1", seed=0) == {}, "all score the same"


def test_few_trials_do_not_say_what_mattered(parts, settings):
    tuned = tune(parts[0], trials=1, **settings)
    assert tuned.importance == {}
    assert "cannot be told" in tuned.summary()
    assert "No trial beat the default recipe: keep it." in tuned.summary()


def test_the_files_hold_what_the_result_does(searched):
    tuned, folder = searched
    assert {path.name for path in folder.iterdir()} == {
        "tuning.json", "study.db", "trials.csv", "best.json", "report.md",
    }  # fmt: skip
    with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["accuracy"] for row in rows] == [str(row["accuracy"]) for row in tuned.trials]
    assert json.loads((folder / "best.json").read_text(encoding="utf-8")) == tuned.best
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "jointune train POSTS --out MODEL" in report
    assert f"--weight-decay {tuned.best['weight_decay']}" in report


def test_the_options_are_those_that_differ_from_the_defaults(parts, settings):
    given = {"augment": False, "read_image_text": False, "class_weight": "balanced", "train_layers": None}
    options = tune(parts[0], trials=1, weight_decay=0.01, **settings | given).options
    assert {
        "--no-augment",
        "--class-weight",
        "balanced",
        "--train-layers",
        "all",
        "--modality-dropout",
        "--fusion",
    } <= set(options)
    assert not {"--seed", "--weight-decay", "--on-bad-image", "--no-read-image-text"} & set(options)


def test_a_seed_gives_the_same_trials_twice_and_another_one_others(searched, parts, settings):
    again, other = (tune(parts[0], trials=2, seed=seed, **settings) for seed in (0, 5))
    assert without_times(again.trials) == without_times(searched[0].trials[:2])
    assert other.trials[1]["weight_decay"] != again.trials[1]["weight_decay"]


def test_a_trial_whose_process_died_is_repeated_and_no_other(searched, parts, settings, tmp_path):
    """Also where the sampler has learned from the trials before."""
    folder = shutil.copytree(searched[1], tmp_path / "tuning")
    with closing(sqlite3.connect(folder / "study.db")) as database, database:
        database.execute("UPDATE trials SET state = 'RUNNING' WHERE number = 11")
    tuned = tune(parts[0], trials=12, out=folder, resume=True, **settings)
    assert tuned.trials[:11] == searched[0].trials[:11], "finished trials are not repeated"
    assert without_times(tuned.trials) == without_times(searched[0].trials)
    assert tuned.trials[11]["seconds"] != searched[0].trials[11]["seconds"]


class Killed(BaseException):
    """Ends a search as a kill does: nothing of the search catches it."""


def test_a_killed_search_leaves_the_trial_that_was_running(parts, with_fusion, tmp_path):
    fusion = Interrupting(1, raising(Killed))
    with pytest.raises(Killed):
        tune(parts[0], trials=2, out=tmp_path / "tuning", **with_fusion(fusion))
    study = open_study(tmp_path / "tuning" / "study.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    assert len(finished_trials(study)) == 1
    tuned = tune(parts[0], trials=2, out=tmp_path / "tuning", resume=True, **with_fusion(fusion))
    assert fusion.calls == 3
    assert [row["error"] for row in tuned.trials] == [None, None]


@pytest.fixture
def ctrl_c():
    """Ctrl-C interrupts, which processes that run tests side by side do not let it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_keeps_what_is_finished_and_says_what_it_tells(parts, with_fusion, tmp_path, ctrl_c):
    fusion = Interrupting(2, ctrl_c)
    with pytest.raises(InterruptedTraining, match="finished trials are kept") as stopped:
        tune(parts[0], trials=4, out=tmp_path / "tuning", **with_fusion(fusion))
    assert len(stopped.value.tuned.trials) == 2
    assert "The search was interrupted." in (tmp_path / "tuning" / "report.md").read_text(encoding="utf-8")
    tuned = tune(parts[0], trials=4, out=tmp_path / "tuning", resume=True, **with_fusion(fusion))
    assert fusion.calls == 5
    assert len(tuned.trials) == 4


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(parts, with_fusion, tmp_path):
    arguments = with_fusion(Interrupting(1, raising(TooLittleMemoryError("out of memory"))))
    tuned = tune(parts[0], trials=3, out=tmp_path / "tuning", **arguments)
    assert [row["error"] for row in tuned.trials] == [None, "TooLittleMemoryError: out of memory", None]
    assert tuned.trials[1]["accuracy"] is None
    assert "1 trials failed" not in tuned.summary()
    assert "1 trial failed" in tuned.summary()
    again = tune(parts[0], trials=3, out=tmp_path / "tuning", resume=True, **arguments)
    assert again.trials == tuned.trials, "a trial that failed is finished, too"


def test_a_default_recipe_that_fails_ends_the_search(parts, with_fusion, tmp_path):
    arguments = with_fusion(Interrupting(0, raising(RuntimeError("out of memory"))))
    with pytest.raises(RuntimeError, match="out of memory"):
        tune(parts[0], trials=3, out=tmp_path / "tuning", **arguments)


def test_a_full_disk_is_one_message(searched, tmp_path):
    with files_up_to(100), pytest.raises(OutputError, match=r"trials\.csv could not be written: .*too large"):
        write_report(searched[0], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_cell_is_a_formula(searched, tmp_path):
    """Messages of errors and names are others' words."""
    tuned, _ = searched
    rows = [row | {"error": "=1+1: out of memory"} if row["trial"] else row for row in tuned.trials]
    write_report(replace(tuned, trials=rows), tmp_path)
    with open(tmp_path / "trials.csv", newline="", encoding="utf-8") as file:
        assert [row["error"] for row in csv.DictReader(file)] == ["", *["'=1+1: out of memory"] * 11]


def test_the_time_limit_lets_no_trial_start_that_would_end_later(parts, settings):
    assert Budget(None, 10).exhausted([], 10_000) is None, "the default recipe is always tried"
    assert Budget(None, 10).exhausted([100, 200], 449) is None
    assert "another trial, which takes 2 min on average" in Budget(None, 10).exhausted([100, 200], 451)
    assert Budget(3, 10).remaining([100, 100], 300) == 100
    assert Budget(9, 10).remaining([100, 100], 300) == 300
    tuned = tune(parts[0], time_limit=1e-6, **settings)
    assert len(tuned.trials) == 1
    assert "The time limit of 1e-06 minutes leaves no time for another trial" in tuned.summary()


def test_posts_that_carry_a_split_are_divided_by_it(posts_csv, settings):
    given = {name: value for name, value in settings.items() if name != "validation"}
    tuned = tune(posts_csv, trials=1, **given)
    assert tuned.validation_posts == 8
    with pytest.warns(JointuneWarning, match="the split that the posts carry is not used"):
        tune(posts_csv, trials=1, validation=0.2, **given)


def test_a_fraction_is_divided_as_training_divides_it(posts_csv, settings):
    posts = read_posts(posts_csv)
    tuned = tune(posts, trials=1, seed=3, **settings | {"validation": 0.2})
    classifier = JointClassifier(**tuned.best, progress=False).fit(posts, validation=0.2)
    assert classifier.metrics_.n == tuned.validation_posts
    assert classifier.metrics_.log_loss == tuned.trials[0]["log_loss"]


def test_bad_pictures_are_left_out_for_all_trials_alike(fresh_posts, settings):
    path = fresh_posts()
    (path.parent / "3.png").write_bytes(b"")
    named = settings | {"validation": 0.2}
    with pytest.raises(PostsError, match=r"3\.png: an empty file"):
        tune(read_posts(path), trials=1, **named)
    tuned = tune(read_posts(path), trials=2, on_bad_image="skip", **named)
    assert [problem.where for problem in tuned.problems] == ["posts.csv row 4 (line 5)"]
    assert tuned.best["on_bad_image"] == "skip"
    tuned = tune(read_posts(path), trials=1, on_bad_image="missing", **named)
    assert len(tuned.problems) == 1


def test_a_setting_that_is_given_is_not_searched(parts, settings):
    tuned = tune(parts[0], trials=2, weight_decay=0.05, **settings)
    assert "weight_decay" not in tuned.trials[0]
    assert tuned.best["weight_decay"] == 0.05


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"trials": 0}, "trials=0: it must be at least 1"),
        ({"time_limit": -1}, "time_limit=-1: it must be more than 0 minutes"),
        ({"fusions": ("magic",)}, "fusion='magic': choose one of"),
        ({"fusions": ("gated:x",)}, "after the colon comes a width"),
        ({"fusions": ()}, "name one at least"),
        ({"fusion": "concat"}, "fusion and fusions"),
        ({"fusions": None, "fusion": "concat", **dict.fromkeys(SEARCHED - {"fusion"}, 0.1)}, "nothing left to search"),
        ({"metric": "luck"}, "metric='luck'"),
        ({"speed": 3}, "speed: no setting of JointClassifier"),
        ({"on_bad_image": "guess"}, "choose error, skip or missing"),
        ({"validation": 1.5}, "a fraction lies between 0 and 1"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_trained(parts, settings, tmp_path, given, says):
    nowhere = {"text_encoder": str(tmp_path / "nowhere")}  # training would begin with it
    with pytest.raises(SettingsError, match=says):
        tune(parts[0], out=tmp_path / "tuning", **settings | nowhere | given)
    assert not (tmp_path / "tuning").exists()


def test_posts_and_encoders_that_cannot_be_used_leave_no_folder(parts, settings, tmp_path, tiny_image):
    folder = tmp_path / "tuning"
    with pytest.raises(PostsError, match="'joyful' is not a label of the training posts"):
        tune(parts[0], out=folder, **settings | {"validation": [{"text": "a", "label": "joyful"}]})
    with pytest.raises(PostsError):
        tune([], out=folder, **settings)
    with pytest.raises(EncoderError):
        tune(parts[0], out=folder, **settings | {"text_encoder": str(tmp_path / "nowhere")})
    assert not folder.exists()


def test_a_folder_of_another_tuning_is_neither_resumed_nor_overwritten(parts, settings, tmp_path):
    folder = tmp_path / "tuning"
    tune(parts[0], trials=1, out=folder, **settings)
    with pytest.raises(OutputError, match="exists already"):
        tune(parts[0], trials=1, out=folder, **settings)
    with pytest.raises(OutputError, match="other settings"):
        tune(parts[0], trials=1, out=folder, resume=True, metric="macro_f1", **settings)
    with pytest.raises(OutputError, match="other training posts"):
        tune(parts[0][1:], trials=1, out=folder, resume=True, **settings)
    with pytest.raises(OutputError, match="other search space"):
        tune(parts[0], trials=1, out=folder, resume=True, **settings | {"fusions": ["concat:8"]})
    assert len(tune(parts[0], trials=2, out=folder, force=True, **settings | {"fusions": ["concat:8"]}).trials) == 2
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="holds something else"):
        tune(parts[0], trials=1, out=other, force=True, **settings)


def test_a_damaged_study_is_told(parts, settings, tmp_path):
    tune(parts[0], trials=1, out=tmp_path / "tuning", **settings)
    (tmp_path / "tuning" / "study.db").write_bytes(b"not a database at all" * 99)
    with pytest.raises(OutputError, match="cannot be read or written: file is not a database"):
        tune(parts[0], trials=1, out=tmp_path / "tuning", resume=True, **settings)


def test_without_optuna_the_pip_command_is_told(parts, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install -c constraints\.txt '\.\[tune\]'"):
        tune(parts[0], out=tmp_path / "tuning", **settings)
    assert not (tmp_path / "tuning").exists()


def test_a_programs_own_random_state_and_logging_are_left_alone(parts, settings):
    import numpy as np
    import optuna

    np.random.seed(1)  # noqa: NPY002
    before, level = np.random.get_state()[1].tolist(), optuna.logging.get_verbosity()  # noqa: NPY002
    tune(parts[0], trials=2, **settings)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert optuna.logging.get_verbosity() == level


def test_progress_says_what_each_trial_gave_and_how_long_the_rest_takes(parts, settings, capsys):
    tune(parts[0], trials=2, **settings | {"progress": True})
    said = capsys.readouterr().err
    assert "trial 0 of 2, the default recipe: accuracy" in said
    assert "trial 1 of 2: accuracy" in said
    assert "left" in said


def test_paths_with_odd_characters(parts, settings, tmp_path):
    folder = tmp_path / "what? {50}% #1"
    assert len(tune(parts[0], trials=1, out=folder, **settings).trials) == 1
    assert (folder / "study.db").exists()
