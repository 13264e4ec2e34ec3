"""Bundles, exports and encoder folders made to do harm: no code of theirs runs, and each is refused in one message."""

import json
import math
import os
import shutil
from copy import deepcopy
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from conftest import write_rows
from jointune import BundleError, JointClassifier, Post, Posts, PostsError
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.errors import EncoderError, JointuneError
from jointune.inference.load import load_predictor
from jointune.persistence.model_card import model_card
from jointune.targets.single_label import SingleLabel
from jointune.utils.files import sha256

pytestmark = pytest.mark.attack


def sign(folder):
    """Make the manifest fit what the files now are, as whoever makes a bundle can."""
    path = folder / "manifest.json"
    path.write_text(json.dumps({name: sha256(folder / name) for name in json.loads(path.read_text())}))


def change(folder, name, edit):
    """Edit the value of a JSON file, in place or by what ``edit`` returns, and sign it."""
    value = json.loads((folder / name).read_text())
    made = edit(value)
    (folder / name).write_text(json.dumps(value if made is None else made))
    sign(folder)


def put(path, value):
    """An edit that sets what ``a.b`` names."""

    def edit(whole):
        *parents, last = path.split(".")
        for parent in parents:
            whole = whole[int(parent) if isinstance(whole, list) else parent]
        whole[int(last) if isinstance(whole, list) else last] = value

    return edit


def drop(name):
    return lambda whole: whole.pop(name) and None


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def folder(tiny_text, tmp_path):
    """An encoder's folder."""
    return Path(shutil.copytree(tiny_text, tmp_path / "encoder"))


def refuses(folder, says=""):
    with pytest.raises(BundleError, match=says) as caught:
        load_predictor(folder)
    assert str(folder) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# Code

EVIL = {
    "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]},
    "custom_pipelines": {"x": {"impl": "evil.Evil"}},
    "attn_implementation": "evil/kernel",
    "_attn_implementation": "flash_attention_2",
    "_attn_implementation_internal": {"": "eager", "text_config": "evil/kernel@main:go"},
    "experts_implementation": "sonicmoe",
    "kernel_config": {"RMSNorm": "evil/kernel:Norm"},
    "use_kernels": True,
    "backbone": "evil/backbone",
    "architecture": "hf-hub:evil/timm",
    "model_args": {"checkpoint_path": "/etc/passwd"},
    "quantization_config": {"quant_method": "mxfp4"},
    "transformers_weights": "../other/model.safetensors",
    "configuration_files": ["config.1.0.0.json"],
}


def test_code_in_a_bundle_is_neither_run_nor_asked_about(bundle, tmp_path, jointune):
    mark = tmp_path / "owned"
    (bundle / "evil.py").write_text(f"open({str(mark)!r}, 'w').write('x')\nclass Evil: pass\n")

    def plant(config):
        for side in ("text_encoder", "image_encoder"):
            config[side]["config"] |= {"model_type": "siglip_text_model", "auto_map": EVIL["auto_map"]}

    change(bundle, "config.json", plant)
    posts = write_rows(tmp_path / "t.csv", [{"text": "lovely day"}])
    with patch("sys.stdin", StringIO("y\n" * 99)):
        code, said = jointune("predict", bundle, posts, "--image-column=", "--out", tmp_path / "o.csv")
    assert (code, mark.exists()) == (2, False)
    assert "auto_map names code of its own" in said
    assert "Traceback" not in said
    assert "[y/N]" not in said


@pytest.mark.parametrize("entry", [*EVIL, "_name_or_path"])
def test_entries_that_fetch_or_run_are_refused_in_a_bundle_at_any_depth(bundle, entry):
    value = EVIL.get(entry, "/evil")
    change(bundle, "config.json", put(f"text_encoder.config.{entry}", value))
    refuses(bundle, "do not use this bundle")
    if entry == "_name_or_path":  # a plain note within, which older versions kept
        return
    change(bundle, "config.json", lambda config: config["text_encoder"]["config"].pop(entry) and None)
    change(bundle, "config.json", put("image_encoder.config.parts", [{"deep": {entry: value}}]))
    refuses(bundle, "do not use this bundle")


@pytest.mark.parametrize("entry", EVIL)
def test_and_in_an_encoder_folder(folder, entry, capsys):
    change_plain(folder / "config.json", {"text_config": {entry: EVIL[entry]}})
    with patch("sys.stdin", StringIO("y\n" * 99)), pytest.raises(EncoderError, match=r"config\.json"):
        load_text_encoder(str(folder))
    assert "[y/N]" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["tokenizer_config.json", "processor_config.json", "preprocessor_config.json"])
def test_and_in_what_prepares_its_inputs(folder, name):
    change_plain(folder / name, {"auto_map": EVIL["auto_map"]})
    with pytest.raises(EncoderError, match=name):
        load_text_encoder(str(folder))
    with pytest.raises(EncoderError, match=name):
        load_image_encoder(str(folder))


def change_plain(path, more):
    value = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(value | more))


def test_honest_notes_of_transformers_are_no_harm(folder):
    (folder / "modeling_other.py").write_text("raise SystemExit('it was run')")
    notes = {"_name_or_path": "somebody/bert", "_attn_implementation_autoset": True, "attn_implementation": "eager"}
    change_plain(folder / "config.json", notes | {"auto_map": {}, "label2id": {"auto_map": 0}})
    _, _, description = load_text_encoder(str(folder))
    assert "somebody" not in json.dumps(description["config"])


def test_timm_models_are_named_not_addressed():
    for name in ("hf-hub:evil/model", "local-dir:/evil", "../evil"):
        with pytest.raises(EncoderError, match="give the name of an architecture alone"):
            load_image_encoder(f"timm:{name}")


@pytest.mark.parametrize("place", ["../stolen.safetensors", "ABSOLUTE", "a/../../stolen.safetensors", 3, None])
def test_weights_come_from_their_own_folder(folder, place):
    stolen = folder.parent / "stolen.safetensors"
    (folder / "model.safetensors").rename(stolen)
    place = str(stolen) if place == "ABSOLUTE" else place
    index = {"metadata": {}, "weight_map": dict.fromkeys(load_file(stolen), place)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(EncoderError, match="outside its folder"):
        load_text_encoder(str(folder))
    stolen.rename(folder / "part.safetensors")
    index["weight_map"] = dict.fromkeys(index["weight_map"], "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    load_text_encoder(str(folder))


@pytest.mark.parametrize("place", ["../encoder", "/etc", "a\\..\\..", 7])
@pytest.mark.parametrize("module", [0, 1])
def test_modules_of_sentence_transformers_lie_in_their_folder(folder, place, module):
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]
    modules[module]["path"] = place
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match=r"modules\.json"):
        load_text_encoder(str(folder))


@pytest.mark.parametrize("name", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"model_max_length": "x", "max_position_embeddings": "x"}', "[1]"])
def test_an_encoder_folder_whose_files_are_none(folder, posts_csv, jointune, name, content):
    (folder / name).write_text(content)
    code, said = jointune("check", posts_csv, f"--text-encoder={folder}")
    assert code in (0, 2)  # where it can do without, training says what is wrong
    assert len(said.splitlines()) < 8
    with pytest.raises(EncoderError):
        load_text_encoder(str(folder))


def test_a_tokenizer_of_an_encoder_that_panics(folder, posts_csv, jointune):
    change_plain(folder / "tokenizer.json", {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}})
    code, said = jointune("check", posts_csv, f"--text-encoder={folder}")
    assert (code, "is not a tokenizer" in said) == (0, True), said
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_text_encoder(str(folder))


# Bundles that fit their digests, but not themselves

DEEP = "[" * 100_000 + "]" * 100_000
CONFIG = {
    "no settings": drop("settings"),
    "settings a list": put("settings", []),
    "an unknown setting": put("settings.surprise", 1),
    "a setting of another type": put("settings.epochs", "3"),
    "a setting out of range": put("settings.batch_size", -1),
    "a setting that is no number": put("settings.encoder_lr", math.nan),
    "a huge setting": put("settings.seed", 10**4000),
    "no format": drop("format"),
    "a format that is none": put("format", True),
    "no version": drop("jointune_version"),
    "no encoder": drop("text_encoder"),
    "an encoder without a config": drop("image_encoder"),
    "an encoder that is a text": put("text_encoder", "minilm-l6"),
    "a model type that is none": put("text_encoder.config.model_type", "surprise"),
    "a model type of pictures": put("text_encoder.config.model_type", "vit"),
    "a model type that is a list": put("text_encoder.config.model_type", ["bert"]),
    "an encoder larger than memory": put("text_encoder.config.hidden_size", 10**9),
    "a vocabulary larger than memory": put("text_encoder.config.vocab_size", 10**11),
    "more layers than weights": put("text_encoder.config.num_hidden_layers", 10**7),
    "heads that do not divide": put("text_encoder.config.num_attention_heads", 3),
    "an activation that is none": put("text_encoder.config.hidden_act", "surprise"),
    "an attribute that is none": put("text_encoder.config.__class__", "surprise"),
    "another width": put("text_encoder.dim", 17),
    "a depth that is not there": put("text_encoder.depths", [99]),
    "depths that are none": put("text_encoder.depths", ["1"]),
    "a pooling that is none": put("text_encoder.pooling", "surprise"),
    "a fusion that is none": put("fusion", "surprise"),
    "a fusion larger than memory": put("fusion", "gated:99999999999"),
    "a fusion that is a number": put("fusion", 3),
    "no preprocessing": drop("text_preprocessing"),
    "no tokens": put("text_preprocessing.max_tokens", 0),
    "too many tokens": put("text_preprocessing.max_tokens", 10**30),
    "more tokens than positions": put("text_preprocessing.max_tokens", 400),
    "padding beyond the embeddings": put("text_preprocessing.pad_id", 10_000),
    "inputs that are none": put("text_preprocessing.inputs", ["surprise"]),
    "kinds of writing that are none": put("text_preprocessing.normalise", ["surprise"]),
    "unknown preprocessing": put("text_preprocessing.surprise", 1),
    "a prompt that no file can hold": put("text_preprocessing.prompt", "\ud800"),
    "labels of another type": put("label_dtype", "int64"),
    "a type that is none": put("label_dtype", "surprise"),
    "counts that are none": put("data.training", 3),
    "notes that are none": put("notes", [1]),
    "a fit that is none": put("text_fit", {"texts": 1}),
}
LABELS = {
    "an object": lambda labels: dict.fromkeys(labels),
    "repeated": lambda labels: labels[:1] * 2,
    "numbers": lambda _: [1, 2],
    "empty ones": lambda _: ["", "x"],
    "none": lambda _: [],
    "one more": lambda labels: [*labels, "more"],
    "one only": lambda labels: labels[:1],
    "a million": lambda _: [str(number) for number in range(1_000_000)],
    "what no file can hold": lambda _: ["\udc80", "x"],
    "a text": lambda _: "ab",
}
PREPROCESSOR = {
    "no size": put("size", [0, 0]),
    "a size larger than memory": put("size", [10**9, 10**9]),
    "a size that is none": put("size", 32),
    "one side": put("size", [32]),
    "another size than the encoder's": lambda image: image | {"size": [8, 8], "resize": [8, 8]},
    "resized to less": put("resize", [16, 16]),
    "a deviation of nothing": put("std", [0, 1, 1]),
    "a mean that is no number": put("mean", [math.nan, 0, 0]),
    "a filter that is none": put("resample", 99),
    "a fit that is none": put("fit", "surprise"),
    "unknown": put("surprise", 1),
    "a list": lambda _: [],
}
CALIBRATION = {
    "no temperature": drop("temperature"),
    "a temperature of nothing": put("temperature", 0),
    "a temperature that is no number": put("temperature", math.nan),
    "another temperature": put("temperature", 77.0),
    "thresholds that are no numbers": put("answered.0.0", math.nan),
    "thresholds above 1": put("answered.0.0", 2),
    "no thresholds": put("answered", []),
    "thresholds that are a text": put("answered", "all"),
    "a list": lambda _: [1],
}
KINDS = [
    *(("config.json", CONFIG, kind) for kind in CONFIG),
    *(("labels.json", LABELS, kind) for kind in LABELS),
    *(("preprocessor_config.json", PREPROCESSOR, kind) for kind in PREPROCESSOR),
    *(("calibration.json", CALIBRATION, kind) for kind in CALIBRATION),
]


@pytest.mark.parametrize(("name", "kinds", "kind"), KINDS, ids=[f"{name[:-5]}: {kind}" for name, _, kind in KINDS])
def test_what_fits_its_digests_only_is_refused(bundle, name, kinds, kind):
    change(bundle, name, kinds[kind])
    refuses(bundle)


@pytest.mark.parametrize("name", ["config.json", "labels.json", "calibration.json", "manifest.json", "metrics.json"])
@pytest.mark.parametrize(
    "content", [DEEP, "9" * 5000, "NaN", "", "null x"], ids=["deep", "digits", "nan", "empty", "x"]
)
def test_json_that_is_none_or_too_deep(bundle, name, content):
    (bundle / name).write_text(content)
    if name != "manifest.json":
        sign(bundle)
    refuses(bundle)


def test_files_that_nothing_verifies_are_refused_too_if_they_are_none(bundle):
    for name, content in (("metrics.json", '{"validation": {"n": -1}}'), ("training_log.jsonl", "[1]\n")):
        before = (bundle / name).read_text()
        (bundle / name).write_text(content)
        refuses(bundle, name)
        (bundle / name).write_text(before)
    load_predictor(bundle)


def test_who_abstains_cannot_be_edited(bundle, posts_csv):
    value = json.loads((bundle / "calibration.json").read_text())
    put("answered.0.1", 1.0)(value)
    (bundle / "calibration.json").write_text(json.dumps(value))
    refuses(bundle, r"calibration\.json was altered")
    manifest = json.loads((bundle / "manifest.json").read_text())
    shutil.copy(posts_csv.parent / "0.png", bundle / "x.png")  # what an older version wrote lists no calibration
    del manifest["calibration.json"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    load_predictor(bundle)


def weights(edit):
    def attack(bundle):
        path = bundle / "model.safetensors"
        held = load_file(path)
        edit(held)
        save_file(held, path)

    return attack


def fill(name, value):
    return weights(lambda held: held[name].reshape(-1)[:1].fill(value))


def raw(content):
    return lambda bundle: (bundle / "model.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    "attack",
    [
        raw(b""),
        raw(b"\x80\x04no weights"),
        raw((2**60).to_bytes(8, "little") + b"{}"),
        raw((2).to_bytes(8, "little") + b"[]"),
        raw((70).to_bytes(8, "little") + b'{"head.weight":{"dtype":"F32","shape":[2,8],"data_offsets":[0,9999]}}   '),
        fill("head.weight", np.nan),
        fill("head.weight", np.inf),
        fill("encoders.text.model.embeddings.word_embeddings.weight", np.nan),
        fill("temperature", 0),
        fill("temperature", np.nan),
        fill("temperature", -1),
        fill("probe.scale", 0),
        fill("probe.mean", np.nan),
        weights(lambda held: held.pop("head.bias") is None),
        weights(lambda held: held.update({"head.weight": held["head.weight"][:1]})),
        weights(lambda held: held.update({"head.weight": held["head.weight"][:, :-1].copy()})),
        weights(lambda held: held.update({"head.weight": np.zeros((), np.float32)})),
        weights(lambda held: held.update({"surprise": np.zeros(1, np.float32)})),
        weights(lambda held: held.clear()),
    ],
)
def test_weights_that_are_none(bundle, attack):
    attack(bundle)
    sign(bundle)
    refuses(bundle)


def test_a_tokenizer_that_is_none(bundle):
    whole = json.loads((bundle / "tokenizer.json").read_text())
    beyond, panic = deepcopy(whole), deepcopy(whole)
    beyond["model"]["vocab"]["beyond"] = 10_000
    panic["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    for value in ({}, [], whole | {"model": None}, whole | {"post_processor": {"type": "surprise"}}, beyond, panic):
        (bundle / "tokenizer.json").write_text(json.dumps(value))
        sign(bundle)
        refuses(bundle)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(data=st.data())
def test_any_value_in_any_place_is_refused_or_does_no_harm(bundle, tiny_bundle, data):
    name = data.draw(st.sampled_from(["config.json", "labels.json", "preprocessor_config.json", "calibration.json"]))
    value = json.loads((tiny_bundle / name).read_text())
    node = value
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
        else:
            break
    node[key] = data.draw(VALUES)
    (bundle / name).write_text(json.dumps(value))
    sign(bundle)
    try:
        (scored,) = load_predictor(bundle).stream([Post("a good day")])
        assert np.isfinite(scored.probabilities).all()
    except BundleError:
        pass
    finally:
        shutil.copy(tiny_bundle / name, bundle / name)
        sign(bundle)


# Links and what else is no file

SECRET = "the secret of another user"


def link(path, secret):
    path.unlink(missing_ok=True)
    path.symlink_to(secret)


def pipe(path, _):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path, _):
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def loop(path, _):
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def directory(path, _):
    path.unlink(missing_ok=True)
    path.mkdir()


FILES = ["README.md", "metrics.json", "training_log.jsonl", "learned_posts.json", "labels.json", "model.safetensors"]


@pytest.mark.parametrize("name", [*FILES, "calibration.json", "tokenizer.json", "manifest.json", "config.json"])
@pytest.mark.parametrize("make", [link, pipe, device, loop, directory])
def test_what_is_no_file_of_the_bundle(bundle, tmp_path, name, make):
    if name == "README.md":
        pytest.skip("the card of a bundle is made anew, and never read")
    secret = tmp_path / "secret"
    shutil.copy(bundle / name, secret)
    make(bundle / name, secret)
    refuses(bundle)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "..", "", "sub/x", "C:x", "nul\0"])
def test_names_in_the_manifest_stay_in_the_folder(bundle, tmp_path, name):
    (tmp_path / "secret").write_text(SECRET)
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {name: sha256(tmp_path / "secret")}))
    refuses(bundle, "manifest")


def test_the_hubs_cache_has_its_files_as_links(bundle, tmp_path):
    home = tmp_path / "models--a--b"
    (home / "blobs").mkdir(parents=True)
    snapshot = home / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    for file in bundle.iterdir():
        shutil.copy(file, home / "blobs" / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    load_predictor(snapshot)
    (tmp_path / "labels.json").write_bytes((home / "blobs" / "labels.json").read_bytes())
    link(home / "blobs" / "labels.json", tmp_path / "labels.json")
    refuses(snapshot, "is a link")


# Exports


@pytest.fixture
def made_export(tiny_bundle, tmp_path):
    """An export with a graph of one layer: no torch is needed to make it."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "export"
    folder.mkdir()
    for name in ("labels.json", "tokenizer.json", "preprocessor_config.json", "README.md"):
        shutil.copy(tiny_bundle / name, folder)
    write_graph(onnx, folder / "model.onnx", np.eye(2, dtype=np.float32))
    config = json.loads((tiny_bundle / "config.json").read_text())
    predictor = load_predictor(tiny_bundle)
    about = {
        "format": 1,
        "jointune_version": "0.1.0",
        "export": {"precision": "fp32", "checked_on": "posts", "check": {}},
        "text_preprocessing": config["text_preprocessing"],
        "read_image_text": False,
        "about": predictor.about,
    }
    (folder / "export.json").write_text(json.dumps(about))
    verified = ["export.json", "model.onnx", "model.onnx.data", "labels.json", "tokenizer.json"]
    manifest = dict.fromkeys([*verified, "preprocessor_config.json"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    sign(folder)
    return folder


def write_graph(onnx, path, matrix, data="model.onnx.data", inputs=("present",), output="logits"):
    """``present`` as numbers times a matrix, whose values lie in a file beside the graph."""
    make, kinds = onnx.helper, onnx.TensorProto
    held = onnx.numpy_helper.from_array(matrix, "matrix")
    onnx.external_data_helper.set_external_data(held, data)
    (path.parent / "model.onnx.data").write_bytes(matrix.tobytes())
    held.ClearField("raw_data")
    graph = make.make_graph(
        [
            make.make_node("Cast", ["present"], ["numbers"], to=kinds.FLOAT),
            make.make_node("MatMul", ["numbers", "matrix"], [output]),
        ],
        "made",
        [make.make_tensor_value_info(name, kinds.BOOL, ["posts", 2]) for name in inputs],
        [make.make_tensor_value_info(output, kinds.FLOAT, ["posts", matrix.shape[1]])],
        [held],
    )
    model = make.make_model(graph, ir_version=10, opset_imports=[make.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())


def test_an_export_that_is_whole_is_read(made_export):
    assert load_predictor(made_export).labels == ["negative", "positive"]


EXPORT = {
    "no about": drop("about"),
    "no preprocessing": drop("text_preprocessing"),
    "reads what is none": put("read_image_text", "yes"),
    "no settings": lambda whole: whole["about"].pop("settings") and None,
    "other labels": put("about.labels", ["x", "y"]),
    "a threshold that is no number": put("about.calibration.answered.0.0", math.nan),
    "no export": put("export", None),
    "no format": drop("format"),
    "a list": lambda _: [],
}


@pytest.mark.parametrize("kind", EXPORT)
def test_an_export_that_fits_its_digests_only(made_export, kind):
    change(made_export, "export.json", EXPORT[kind])
    refuses(made_export)


@pytest.mark.parametrize(
    ("name", "kinds", "kind"), [k for k in KINDS if k[0] in ("labels.json", "preprocessor_config.json")]
)
def test_and_its_other_files(made_export, name, kinds, kind):
    if kind == "another size than the encoder's":
        pytest.skip("this graph looks at no picture")
    change(made_export, name, kinds[kind])
    refuses(made_export)


@pytest.mark.parametrize(
    "graph",
    [
        {"matrix": np.eye(2, 3, dtype=np.float32)},
        {"matrix": np.full((2, 2), np.nan, dtype=np.float32)},
        {"matrix": np.full((2, 2), np.inf, dtype=np.float32)},
        {"matrix": np.eye(3, dtype=np.float32)},
        {"output": "surprise"},
        {"inputs": ("present", "surprise")},
        {"data": "../model.onnx.data"},
        {"data": "missing.data"},
    ],
    ids=str,
)
def test_a_graph_that_is_none(made_export, graph):
    onnx = pytest.importorskip("onnx")
    (made_export.parent / "model.onnx.data").write_bytes(np.eye(2, dtype=np.float32).tobytes())
    write_graph(onnx, made_export / "model.onnx", **({"matrix": np.eye(2, dtype=np.float32)} | graph))
    sign(made_export)
    refuses(made_export)


@pytest.mark.parametrize("name", ["README.md", "model.onnx.data", "labels.json", "export.json"])
@pytest.mark.parametrize("make", [link, pipe, device])
def test_what_is_no_file_of_the_export(made_export, tmp_path, name, make):
    (tmp_path / "secret").write_bytes((made_export / name).read_bytes())
    make(made_export / name, tmp_path / "secret")
    if name == "export.json" and make is not link:  # by which an export is known
        with pytest.raises(JointuneError):
            load_predictor(made_export)
        return
    refuses(made_export)


def test_what_nothing_names_is_never_read(bundle, tmp_path):
    for name in ("evil.py", "model.pt", "pytorch_model.bin", "sitecustomize.py"):
        (bundle / name).write_bytes(b"\x80\x04.")
    (bundle / "sub").mkdir()
    card = (bundle / "README.md").read_text()
    (bundle / "README.md").write_text(SECRET)
    predictor = load_predictor(bundle)
    assert SECRET not in predictor.card != card
    JointClassifier.load(bundle).save(tmp_path / "again")
    assert not {"evil.py", "model.pt", "sub"} & {path.name for path in (tmp_path / "again").iterdir()}


# What names others gave become in the card, and what a killed process leaves behind

NASTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "**bold** _and_ `code`",
    "http://evil.example",
    "a\n# heading\n| x | y |",
    "\\<b>",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_are_no_markdown_and_no_html_in_a_card(name):
    counts = {name: 3, "plain_label": 2}
    encoder = {"name": name, "licence": name}
    card = model_card(
        name,
        SingleLabel(list(counts)),
        {"text": encoder, "image": encoder},
        "",
        name,
        {"training": counts},
        {},
        None,
        [name],
    )
    assert "plain_label" in card
    for active in ("<", "](", "**bold", "`code", "http://evil", "\n# heading", " _and_"):
        assert active not in card.replace(f"# {name[0]}", "")


def test_no_label_is_called_as_the_answer_of_a_model_that_abstains(refused, tmp_path):
    rows = [{"text": f"rain {k}", "label": ("unsure", "wet")[k % 2]} for k in range(20)]
    table = write_rows(tmp_path / "t.csv", rows)
    says = ["'unsure' is the answer of a model that abstains", "rename the label"]
    refused("check", table, "--image-column=", says=says, code=1)
    refused("train", table, "--out", tmp_path / "b", "--image-column=", says=says)
    assert not (tmp_path / "b").exists()


def test_labels_that_are_texts_are_no_labels():
    posts = Posts(Post(f"rain {k}", label=f"it rained {k // 2}") for k in range(20_002))
    with pytest.raises(PostsError, match="10,001 different labels"):
        JointClassifier().fit(posts)
