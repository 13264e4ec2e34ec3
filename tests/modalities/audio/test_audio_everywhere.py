"""Sounds from the table to the answer: check, train, predict, evaluate, compare, export, the service and the page."""

import base64
import csv
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from conftest import write_rows
from helpers.small_sounds import ENCODERS, make_audio_encoder, tone, write_wave
from jointune import JointClassifier, Posts, PostsError, SettingsError, compare, read_posts
from jointune.data.fingerprints import posts_digest
from jointune.data.split import identity_groups
from jointune.encoders.audio_encoder import load_audio_encoder
from jointune.errors import MissingExtraError
from jointune.export.exporter import export
from jointune.inference.load import load_predictor
from jointune.modalities.audio.waveform import AudioRows
from jointune.modalities.rows import ActivationStore

pytest.importorskip("soundfile", reason="the extra audio is not installed")
pytest.importorskip("soxr", reason="the extra audio is not installed")

NOTHING = {"text_column": None, "image_column": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """48 posts of which only the sounds tell the label; one has a sound alone, one none."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for number in range(48):
        label = ("low", "high")[number % 2]
        pitch = (200, 3000)[number % 2] + 20 * number
        write_wave(folder / f"{number}.wav", tone(pitch, 0.15 + number % 5 / 50))
        rows.append({"text": ("good", "bad")[number // 2 % 2], "sound": f"{number}.wav", "label": label})
    rows[46]["text"], rows[47]["sound"] = "", ""
    write_rows(folder / "posts.csv", rows)
    return folder


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    root = tmp_path_factory.mktemp("audio-encoders")
    return {kind: make_audio_encoder(kind, root / kind) for kind in ENCODERS}


@pytest.fixture(scope="module")
def settings(tiny_settings, encoders):
    audio = {"audio_column": "sound", "audio_encoder": encoders["wav2vec2"], "image_column": None}
    return tiny_settings | audio | {"audio_seconds": 0.5, "epochs": 6, "train_layers": 1}


@pytest.fixture(scope="module")
def posts(folder):
    return read_posts(folder / "posts.csv", image_column=None, file_columns=["sound"])


@pytest.fixture(scope="module")
def trained(settings, posts):
    return JointClassifier(**settings).fit(posts, validation=0.25)


@pytest.fixture(scope="module")
def bundle(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "bundle"
    trained.save(path)
    return path


def test_it_learns_what_only_the_sounds_decide(trained, posts):
    assert trained.evaluate(posts).accuracy > 0.9
    assert trained.encoders_["audio"]["front"]["kind"] == "samples"
    assert trained.model_.encoders["audio"].split is not None


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_kind_of_encoder_is_trained_and_saved(kind, encoders, settings, posts, tmp_path):
    quick = {"audio_encoder": encoders[kind], "epochs": 1, "evaluations_per_epoch": 1}
    made = JointClassifier(**settings | quick).fit(posts, validation=0.25)
    tried = posts[40:]
    expected = made.predict_proba(tried)
    made.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(tried), expected)
    alone = np.concatenate([loaded.predict_proba(tried[number : number + 1]) for number in range(len(tried))])
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    if kind not in ("wav2vec2", "ast"):  # one of samples and one of a spectrogram, since an export takes long
        return
    pytest.importorskip("onnx", reason="the extra export is not installed")
    export(loaded, tmp_path / "export", posts=tried)
    predictor = load_predictor(tmp_path / "export")
    scores = [one.probabilities for one in predictor.stream(tried)]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("kind", ENCODERS)
def test_cached_activations_stand_for_the_frozen_layers(kind, encoders, posts):
    encoder, preprocessor, _ = load_audio_encoder(encoders[kind], "sound", 0.5)
    encoder.freeze_lower(1)
    encoder.eval()
    rows = AudioRows(posts[:6], preprocessor)
    assert rows.present.all()
    store = ActivationStore()
    with torch.no_grad():
        for numbers in ([0, 3], [1, 2, 4], [5]):
            arrays, _ = rows.collate(numbers, [rows.row(number) for number in numbers])
            inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
            store.put_all(numbers, rows.own_parts(encoder.activations(inputs).numpy(), inputs))
        rows.activations = store
        arrays, frozen = rows.collate([4, 0, 5], [rows.row(number) for number in (4, 0, 5)])
        inputs = {name: torch.from_numpy(values) for name, values in arrays.items()}
        torch.testing.assert_close(encoder.resume(torch.from_numpy(frozen), inputs).pooled, encoder(inputs).pooled)


def test_sounds_count_in_digests_and_groups(posts, folder, tmp_path):
    shutil.copy(folder / "0.wav", tmp_path / "copy.wav")
    rows = [{"text": "a", "sound": folder / "0.wav"}, {"text": "b", "sound": tmp_path / "copy.wav"}]
    rows += [{"text": "c", "sound": folder / "1.wav"}]
    same = read_posts(rows, image_column=None, file_columns=["sound"])
    groups = identity_groups(same)
    assert groups[0] == groups[1] != groups[2]
    other = read_posts([rows[0] | {"sound": folder / "1.wav"}, *rows[1:]], image_column=None, file_columns=["sound"])
    assert posts_digest(same) != posts_digest(other)


def test_the_commands(jointune, folder, settings, bundle, tmp_path):
    columns = ("--image-column", "")
    code, said = jointune(
        "check", folder / "posts.csv", *columns, "--audio-column", "sound", "--audio-seconds", 0.2,
        "--text-encoder", settings["text_encoder"],
    )  # fmt: skip
    assert code == 0, said
    assert "training sounds are longer than 0.2 s; only the first 0.2 s are read" in said
    encoders = ("--text-encoder", settings["text_encoder"], "--image-encoder", settings["image_encoder"])
    audio = ("--audio-column", "sound", "--audio-encoder", settings["audio_encoder"], "--audio-seconds", 0.2)
    quick = ("--epochs", 1, "--epoch-steps", 1, "--quiet", "--out", tmp_path / "bundle")
    code, said = jointune("train", folder / "posts.csv", *columns, *encoders, *audio, *quick)
    assert code == 0, said
    assert "longer than 0.2 s" in said
    code, said = jointune("predict", bundle, folder / "posts.csv", *columns, "--out", tmp_path / "scored.csv")
    assert code == 0, said
    with open(tmp_path / "scored.csv", newline="", encoding="utf-8") as file:
        assert sum(row["prediction"] == row["label"] for row in csv.DictReader(file)) > 43
    code, said = jointune("evaluate", bundle, folder / "posts.csv", *columns)
    assert code == 0, said


def test_methods_are_compared_and_settings_searched_with_sounds(
    jointune, posts, folder, settings, cells_here, tmp_path
):
    own = {name: value for name, value in settings.items() if name not in ("progress", "epochs", "train_layers")}
    apart = Posts(replace(post, text=f"{post.text} {number}") for number, post in enumerate(posts))
    with cells_here():
        compared = compare(apart, methods=["frozen", "text"], folds=2, progress=False, **own)
    assert {row["method"] for row in compared.table()} == {"frozen", "text"}
    assert not compared.failures
    if find_spec("optuna") is None:
        return
    encoders = [f"--{name}-encoder={settings[f'{name}_encoder']}" for name in ("text", "image", "audio")]
    audio = ("--image-column", "", "--audio-column", "sound", "--audio-seconds", 0.2)
    quick = ("--epochs=1", "--trials=1", "--fusions=gated:8", "--quiet", "--out", tmp_path / "tuning")
    code, said = jointune("tune", folder / "posts.csv", *audio, *encoders, *quick)
    assert code == 0, said
    line = next(line for line in said.splitlines() if line.startswith("jointune train"))
    assert "--audio-column sound" in line
    assert "--audio-seconds 0.2" in line


def test_bad_sounds_stop_every_command(jointune, refused, folder, settings, bundle, tmp_path):
    for name in ("0.wav", "1.wav", "2.wav"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    rows = [{"text": f"good {n}", "sound": f"{n}.wav", "label": ("low", "high")[n % 2]} for n in range(3)]
    rows.append({"text": "bad", "sound": "broken.wav", "label": "high"})
    table = write_rows(tmp_path / "posts.csv", rows)
    columns = ("--image-column", "")
    says = ["posts.csv row 4 (line 5)", "broken.wav", "damaged, or not a sound", "restore the file"]
    code, said = jointune("check", table, *columns, "--audio-column", "sound")
    assert code == 1
    assert all(part in said for part in says)
    audio = ("--audio-column", "sound", "--audio-encoder", settings["audio_encoder"])
    encoders = ("--text-encoder", settings["text_encoder"], "--image-encoder", settings["image_encoder"])
    validation = ("--validation", folder / "posts.csv")
    refused("train", table, *columns, *encoders, *audio, *validation, "--out", tmp_path / "never", says=says)
    refused("predict", bundle, table, *columns, "--out", tmp_path / "never.csv", says=says)
    refused("evaluate", bundle, table, *columns, says=says)
    out = tmp_path / "scored.csv"
    code, said = jointune("predict", bundle, table, *columns, "--on-bad-image", "skip", "--out", out)
    assert code == 0, said
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4
    assert "broken.wav" in (tmp_path / "scored.csv.skipped.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("../0.wav", "leads outside"),
        ("https://example.org/a.wav", "an address, not a path, and nothing is fetched"),
        ("a\0b", "NUL character"),
        (3, "a int where a picture's path is needed"),
        ([1], "a list where a picture's path is needed"),
        (np.zeros((4, 4), dtype=np.uint8), "a picture where the path of another file is needed"),
    ],
)
def test_cells_that_name_no_sound(cell, says, tmp_path):
    with pytest.raises(PostsError, match=says):
        read_posts(
            [{"text": "a", "sound": cell}], image_column=None, file_columns=["sound"], image_root=tmp_path / "inside"
        )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"audio_column": "sound"}, "there is no audio_encoder beside it; give both"),
        ({"audio_encoder": "x"}, "there is no audio_column beside it"),
        ({"audio_column": "text", "audio_encoder": "x"}, "it is the column of the text already"),
        ({"audio_column": "label", "audio_encoder": "x"}, "it is the column of the label already"),
        (
            {"audio_column": "s", "audio_encoder": "x", "number_columns": ["s"]},
            "it is the column of the sounds already",
        ),
        ({"audio_column": "s", "audio_encoder": "x", "audio_seconds": 0.0}, "must be between 0.1 and 600"),
        ({"audio_column": 3, "audio_encoder": "x"}, "give a text or None"),
    ],
)
def test_settings_that_do_not_fit(given, says, tiny_settings):
    with pytest.raises(SettingsError, match=says):
        JointClassifier(**tiny_settings | given).validated()


def test_a_table_without_the_column(refused, bundle, folder, settings, tmp_path):
    lacking = write_rows(tmp_path / "lacking.csv", [{"text": "good", "label": "low"}])
    out = ("--image-column", "", "--out", tmp_path / "never.csv")
    refused("predict", bundle, lacking, *out, says=["there is no column 'sound'"])
    audio = ("--audio-column", "noise", "--audio-encoder", settings["audio_encoder"])
    refused("train", folder / "posts.csv", *out, *audio, says=["there is no column 'noise'"])


@pytest.mark.parametrize("package", ["soundfile", "soxr"])
def test_without_the_extra_the_command_is_named(package, monkeypatch, tiny_settings, posts):
    monkeypatch.setitem(sys.modules, package, None)
    says = rf"^audio_column needs the package {package}; .*pip install -c constraints.txt '.\[audio\]'$"
    with pytest.raises(MissingExtraError, match=says):
        JointClassifier(**tiny_settings, audio_column="sound", audio_encoder="x").fit(posts)


def test_the_service_takes_sounds(bundle, folder, trained):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from jointune.serve.app import make_app
    from jointune.serve.limits import Limits

    content = (folder / "1.wav").read_bytes()
    post = [{"text": "good", "sound": content}]
    expected = trained.predict_proba(read_posts(post, image_column=None, file_columns=["sound"]))[0]
    with TestClient(make_app(load_predictor(bundle, "cpu"), Limits(image_bytes=20_000)), "http://localhost") as client:

        def ask(**request):
            answer = client.post("/predict", **request)
            return answer.status_code, answer.json()

        sound = base64.b64encode(content).decode()
        status, answer = ask(json={"text": "good", "sound": sound})
        assert (status, answer["label"], answer["missing"]) == (200, "high", ["image"])
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=1e-5)
        assert ask(files={"text": (None, "good"), "sound": ("a.wav", content)})[1] == answer
        assert ask(json={"sound": sound})[1]["missing"] == ["text", "image"]
        assert "audio" in ask(json={"text": "good"})[1]["missing"]
        for wrong, code in (("AAAA", 422), ("?", 422), (3, 422), (base64.b64encode(bytes(30_000)).decode(), 413)):
            status, answer = ask(json={"text": "good", "sound": wrong})
            assert (status, bool(answer["error"]["remedy"])) == (code, True)
        properties = client.get("/openapi.json").json()["components"]["schemas"]["RequestPost"]["properties"]
        assert "sound" in properties


def test_the_page_judges_sounds(bundle, folder, tmp_path):
    import zipfile

    from jointune.ui.many_posts import score_table
    from jointune.ui.one_post import judge

    predictor = load_predictor(bundle, "cpu")
    verdict = judge(predictor, "", None, {"sound": folder / "0.wav"})
    assert max(verdict.probabilities, key=verdict.probabilities.__getitem__) == "low"
    assert verdict.sentences[1] == "No text and no picture: judged by the sound alone."
    (tmp_path / "broken.wav").write_bytes(b"no")
    assert "This file cannot be used" in judge(predictor, "", None, {"sound": tmp_path / "broken.wav"}).sentences[0]
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as archive:
        for number in range(40):
            archive.write(folder / f"{number}.wav", f"{number}.wav")
    result = score_table(predictor, folder / "posts.csv", tmp_path / "sounds.zip", tmp_path / "scored.csv")
    assert (result.rows, len(result.problems)) == (48, 7)
    assert "not in the zip file" in str(result.problems[0])


def test_a_damaged_description_is_refused(bundle, tmp_path):
    import json

    from jointune.errors import BundleError
    from jointune.utils.files import write_manifest

    copy = tmp_path / "copy"
    for change in (
        lambda config: config["audio_encoder"]["front"].update(kind="other"),
        lambda config: config["audio_encoder"]["config"].update(hidden_size=4096),
        lambda config: config["audio_encoder"]["config"].update(auto_map={"AutoModel": "a.b"}),
        lambda config: config["audio_preprocessing"].update(rate=-1),
        lambda config: config["audio_preprocessing"].update(more=1),
        lambda config: config.pop("audio_preprocessing"),
    ):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bundle, copy)
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        change(config)
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
        manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
        names = list(manifest.get("files", manifest))
        write_manifest(copy, [name for name in names if (copy / name).exists()])
        with pytest.raises(BundleError):
            JointClassifier.load(copy, device="cpu")
