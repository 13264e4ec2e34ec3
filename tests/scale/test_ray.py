"""Commands on a real Ray cluster of two nodes with one core each: the same results, whoever dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers import predictors
from jointune import JointClassifier, PostsError, compare, read_posts, tune
from jointune.scale.ray_cluster import ClusterError, Workers, ray_cluster
from jointune.scale.worker_pool import WorkerPool

pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    cluster, handler = Cluster(), signal.getsignal(signal.SIGTERM)
    for number in range(5):  # Ray gives up a node that does not start in seconds, as on a machine that is busy
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False)
        except Exception:
            if number == 4:
                raise
        if len(cluster.list_all_nodes()) == 2:
            break
    signal.signal(signal.SIGTERM, handler)  # a node of Ray takes it for itself
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def parts(posts_csv, tmp_path_factory):
    """The posts in a folder of six tables, with their pictures."""
    folder = tmp_path_factory.mktemp("parts")
    shutil.copytree(posts_csv.parent, folder, ignore=shutil.ignore_patterns("*.csv"), dirs_exist_ok=True)
    header, *lines = posts_csv.read_text().splitlines(keepends=True)
    for number in range(6):
        (folder / f"part{number}.csv").write_text(header + "".join(lines[number::6]))
    return folder


@pytest.fixture(scope="module")
def scored_here(tiny_bundle, parts, tmp_path_factory):
    """The tables as one process scores them."""
    from jointune.cli.app import main

    out = tmp_path_factory.mktemp("here") / "scored"
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(tiny_bundle), str(parts), "--part", "0/1", "--out", str(out), "--quiet"])
    assert ended.value.code == 0
    return tables(out)


def tables(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.csv")}


def pids_of(name: str) -> list[int]:
    """The processes of actors and tasks of this name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(f"ray::{name}".encode()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_workers_score_the_same_rows(jointune, cluster, tiny_bundle, parts, scored_here, tmp_path):
    out, handlers = tmp_path / "scored", [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run = ("predict", tiny_bundle, parts, "--ray", cluster.address, "--workers", "1:2", "--out", out)
    code, said = jointune(*run)
    assert code == 0, said
    assert "6 parts with 48 posts" in said
    assert tables(out) == scored_here
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    code, said = jointune(*run)
    assert code == 2
    assert "holds scored parts; go on with --resume" in said


def test_the_work_of_a_dead_worker_is_done_by_another(cluster, tmp_path):
    class Worker:
        def ready(self):
            pass

        def work(self, piece):
            if piece == "broken":
                raise PostsError("part3.csv row 1: no text", "give it one")
            if piece == "deadly" or (piece % 3 == 0 and not (tmp_path / str(piece)).exists()):
                (tmp_path / str(piece)).touch()
                os._exit(1)
            return 2 * piece

    with ray_cluster(cluster.address) as ray:
        make = ray.remote(max_concurrency=2, num_cpus=0.1)(Worker).remote
        pool = WorkerPool(ray, make, Workers(1, 3))
        assert sorted(pool.results(range(7))) == [2 * piece for piece in range(7)]
        with pytest.raises(ClusterError, match="the workers that were given deadly died, 3 times"):
            list(WorkerPool(ray, make, Workers()).results(["deadly"]))
        with pytest.raises(PostsError, match=r"^part3\.csv row 1: no text; give it one$"):
            list(WorkerPool(ray, make, Workers()).results(["broken"]))


@pytest.mark.parametrize(
    ("address", "says"),
    [("127.0.0.1:1", "no Ray cluster answers there"), ("127.0.0.1:99999", "no Ray cluster answers there")],
)
def test_an_address_without_a_cluster_is_refused_at_once(refused, tiny_bundle, parts, tmp_path, address, says):
    began = time.monotonic()
    refused("predict", tiny_bundle, parts, "--ray", address, "--out", tmp_path / "s", says=[f"--ray {address}", says])
    assert time.monotonic() - began < 10
    assert not (tmp_path / "s").exists()


def test_cells_are_compared_as_here(cluster, posts_csv, tmp_path, cells_here):
    methods = {"guess": predictors.Guess, "words": predictors.Words, "killed": predictors.Killed}
    run = {"methods": methods, "folds": 2, "progress": False}
    there = compare(posts_csv, **run, out=tmp_path / "there", ray=cluster.address)
    assert Counter(failure.cell.method for failure in there.failures) == {"killed": 2}
    assert all("killed by signal 9" in failure.reason for failure in there.failures)
    with cells_here():
        here = compare(posts_csv, **run | {"methods": {name: methods[name] for name in ("guess", "words")}})
    for one in here.results:
        other = next(result for result in there.results if result.cell == one.cell)
        np.testing.assert_array_equal(one.test_scores, other.test_scores)
    assert (tmp_path / "there" / "report.html").exists()


def test_two_workers_train_as_one_does(jointune, cluster, posts_csv, tiny_settings, tmp_path):
    shutil.copytree(tiny_settings["text_encoder"], tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config))
    run = ["train", posts_csv, "--split-column", "split", "--epochs", "2", "--precision", "fp32", "--quiet"]
    run += ["--text-encoder", tmp_path / "bert", "--image-encoder", tiny_settings["image_encoder"]]
    run += ["--epoch-steps", "1", "--modality-dropout", "0", "--no-augment", "--class-weight", "balanced"]
    code, said = jointune(*run, "--batch-size", "10", "--out", tmp_path / "one")
    assert code == 0, said
    there = ["--ray", cluster.address, "--workers", "2", "--out", tmp_path / "two"]
    code, said = jointune(*run, "--batch-size", "5", *there)
    assert code == 0, said
    assert "validation in fp32" in said
    assert not (tmp_path / "two.partial").exists()
    one, two = (JointClassifier.load(tmp_path / name) for name in ("one", "two"))
    np.testing.assert_allclose(*(model.predict_proba(read_posts(posts_csv)) for model in (one, two)), atol=1e-4)
    losses = [[entry["loss"] for entry in model.log_[1:]] for model in (one, two)]
    np.testing.assert_allclose(*losses, atol=1e-5)


@pytest.fixture
def predicting(cluster, tiny_bundle, parts):
    """Start ``jointune predict`` on the cluster in a process of its own."""

    def run(out: Path, *more: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "jointune", "predict", tiny_bundle, parts, "--out", out]
        command += ["--ray", cluster.address, "--workers", "2", "--quiet", *more]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


@pytest.mark.slow
def test_killed_workers_lose_nothing(predicting, scored_here, tmp_path):
    random = np.random.default_rng(0)
    for number in range(3):
        running = predicting(tmp_path / f"scored{number}")
        kills = 0
        while running.poll() is None:
            time.sleep(random.uniform(0.5, 3))
            if kills < 2 and (pids := pids_of("PartWorker")):
                os.kill(pids[random.integers(len(pids))], signal.SIGKILL)
                kills += 1
        assert running.returncode == 0
        assert tables(tmp_path / f"scored{number}") == scored_here


@pytest.mark.slow
def test_a_killed_driver_loses_nothing(predicting, scored_here, tmp_path):
    random = np.random.default_rng(1)
    for number in range(3):
        running = predicting(tmp_path / f"scored{number}")
        time.sleep(random.uniform(2, 10))
        running.kill()
        running.wait()
        assert predicting(tmp_path / f"scored{number}", "--resume").wait(120) == 0
        assert tables(tmp_path / f"scored{number}") == scored_here


@pytest.mark.slow
def test_a_killed_worker_costs_a_training_the_steps_since_its_last_validation(
    cluster, posts_csv, tiny_settings, tmp_path
):
    def start(name: str) -> subprocess.Popen:
        run = [sys.executable, "-m", "jointune", "train", posts_csv, "--split-column", "split", "--precision", "fp32"]
        run += [word for side in ("text", "image") for word in (f"--{side}-encoder", tiny_settings[f"{side}_encoder"])]
        run += ["--epochs", "20", "--patience", "20", "--epoch-steps", "1", "--batch-size", "4", "--quiet"]
        run += ["--ray", cluster.address, "--workers", "2", "--out", tmp_path / name]
        return subprocess.Popen(list(map(str, run)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start("calm").wait(300) == 0
    running = start("killed")
    while not (tmp_path / "killed.partial" / "state.pt").exists():
        assert running.poll() is None
        time.sleep(0.05)
    os.kill(max(pids_of("TrainingWorker")), signal.SIGKILL)
    assert running.wait(300) == 0
    calm, killed = (JointClassifier.load(tmp_path / name) for name in ("calm", "killed"))
    assert [entry["step"] for entry in killed.log_] == [entry["step"] for entry in calm.log_]
    np.testing.assert_allclose(*(model.predict_proba(read_posts(posts_csv)) for model in (calm, killed)), atol=1e-5)


@pytest.mark.slow
def test_trials_run_side_by_side(cluster, posts_csv, tiny_settings, tmp_path):
    fixed = {name: value for name, value in tiny_settings.items() if name not in ("epochs", "encoder_lr", "head_lr")}
    run = fixed | {"out": tmp_path / "tuned", "ray": cluster.address}
    tuned = tune(posts_csv, trials=2, **run)
    assert [row["error"] for row in tuned.trials] == [None, None]
    tuned = tune(posts_csv, trials=4, resume=True, **run)
    assert len(tuned.trials) == 4
    assert tuned.trials[0]["epochs"] == JointClassifier().epochs, "the default recipe"
    assert len({row["encoder_lr"] for row in tuned.trials}) == 4
    assert (tmp_path / "tuned" / "report.md").exists()
