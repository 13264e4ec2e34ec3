"""The command line as a whole: its help, and mistakes that it tells before anything is loaded."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jointune import JointClassifier, SettingsError
from jointune.cli.app import COMMANDS
from jointune.demo import POSTS
from jointune.errors import setting, settings_rendered_by
from jointune.utils.files import MANIFEST
from jointune.utils.wording import counted, option

PACKAGE = Path(__file__).parents[2] / "src" / "jointune"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_cuts_no_name_at_any_width(jointune, monkeypatch, command, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, said = jointune(*([command] if command else []), "--help")
    assert code == 0
    assert "…" not in said
    assert "<bool>" not in said
    assert max(map(len, said.splitlines())) <= width


def test_help_names_every_option_and_groups_them(jointune, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = jointune("train", "--help")[1]
    titles = re.findall(r"^(\w+):$", said, re.MULTILINE)
    assert sorted(titles) == ["Arguments", "Columns", "Options", "Recipe"]
    for name in ("--out BUNDLE", "--gradient-checkpointing ", "--probe / --no-probe", "--evaluations-per-epoch"):
        assert f"\n  {name}" in said
    assert "cross-attention" in said


def test_the_list_of_commands_says_whole_sentences(jointune, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = " ".join(jointune("--help")[1].split())
    assert "Find every row that cannot be used, and every other problem for training, with reason and remedy." in said
    assert "..." not in said.replace("[ARGS]...", "")


MISTAKES = [
    ("train --epochs -1", "--epochs -1: it must be at least 0"),
    ("train --epochs 0 --no-probe", "nothing would be trained"),
    ("train --metric foo", "has no such score; choose one of accuracy"),
    ("train --precision fp8", "--precision fp8: choose one of auto"),
    ("train --fusion nonsense", "--fusion nonsense: choose one of gated"),
    ("train --fusion gated:many", "--fusion gated:many: after the colon comes a width"),
    ("train --schedule linear", "--schedule linear: choose one of cosine"),
    ("train --track nope", "--track nope: choose one of"),
    ("train --validation 2", "--validation 2.0: a fraction lies between 0 and 1"),
    ("train --validation nan", "a fraction lies between 0 and 1"),
    ("train --encoder-lr inf", "--encoder-lr inf: it must be between"),
    ("train --head-lr nan", "--head-lr nan: it must be between"),
    ("train --train-layers most", "--train-layers most: give a number"),
    ("train --lora 0", "--lora 0: it must be at least 1"),
    ("train --normalise smileys", "--normalise smileys: choose among links"),
    ("train --on-bad-image ignore", "--on-bad-image ignore: choose error, skip or missing"),
    ("train --seed -1", "--seed -1: it must be between 0"),
    ("train --seed 99999999999", "--seed 99999999999: it must be between 0 and 4294967295"),
    ("train --max-tokens 0", "--max-tokens 0: it must be at least 1"),
    ("compare --methods joint,magic", "--methods magic: choose among joint"),
    ("compare --methods clip", "name one with --clip"),
    ("compare --label-budgets 8,few", "'few' is neither a number of posts a label nor 'all'"),
    ("compare --metric foo", "has no such score; choose one of accuracy"),
    ("compare --fusion nonsense", "--fusion nonsense: choose one of"),
    ("tune --trials 0", "--trials 0: it must be at least 1"),
    ("tune --time-limit nan", "--time-limit nan: it must be more than 0"),
    ("tune --fusions gated,magic", "--fusions magic: choose one of"),
    ("tune --metric foo", "has no such score; choose one of accuracy"),
    ("tune --precision x", "--precision x: choose one of"),
]


@pytest.mark.parametrize(("command", "says"), MISTAKES, ids=[command for command, _ in MISTAKES])
def test_a_mistake_in_a_setting_is_told_before_posts_are_read(refused, tmp_path, command, says):
    """The posts are not there either, which would be the first thing to tell of those that are read."""
    name, *options = command.split()
    refused(name, tmp_path / "nowhere.csv", "--out", tmp_path / "out", *options, says=[says])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["compare", POSTS, "--seeds", "0"], "--seeds"),
        (["compare", POSTS, "--folds", "1"], "--folds"),
        (["predict", "nowhere", POSTS], "nowhere: no such bundle"),
        (["predict", POSTS.parent, POSTS], "is not a jointune bundle"),
        (["predict", "nowhere", POSTS, "--device", "nonsense"], "--device nonsense"),
        (["evaluate", "nowhere", POSTS, "--device", "gpu"], "--device gpu"),
        (["evaluate", "nowhere", POSTS, "--engine", "nonsense"], "--engine nonsense: choose one of"),
        (["predict", "nowhere", POSTS, "--abstain", "2"], "--abstain 2.0: the wanted accuracy"),
        (["export", "nowhere"], "nowhere: no such bundle"),
    ],
)
def test_other_mistakes_too(refused, tmp_path, command, says):
    out = tmp_path / ("out.csv" if command[0] == "predict" else "out")
    refused(*command, "--out", out, says=[says])
    assert not out.exists()


@pytest.mark.parametrize("command", ["train", "compare", "tune"])
def test_an_output_in_the_way_is_told_before_posts_are_read(refused, tmp_path, command):
    (tmp_path / "mine.txt").touch()
    refused(
        command,
        "nowhere.csv",
        "--out",
        tmp_path,
        says=["exists already and holds something else, which --force spares"],
    )


WITHOUT_TORCH = """
import json, sys, jointune.cli.app
sys.modules["rapidocr_onnxruntime"] = None  # as if the extra were not installed
for command in json.loads(sys.argv[1]):
    sys.argv = ["jointune", *command]
    try:
        jointune.cli.app.main()
    except SystemExit as end:
        print(end.code, "torch" in sys.modules, "transformers" in sys.modules)
"""


def test_mistakes_and_missing_extras_need_no_torch(tmp_path):
    bundle, exported, posts = tmp_path / "bundle", tmp_path / "exported", str(POSTS)
    for folder, mark, content in (
        (bundle, "config.json", {"format": 1, "settings": {"read_image_text": True}}),
        (exported, "export.json", {"read_image_text": True}),
    ):
        folder.mkdir()
        (folder / mark).write_text(json.dumps(content))
        (folder / MANIFEST).touch()
    reading = [
        ["train", posts, "--out", "nothing", "--read-image-text"],
        ["check", posts, "--read-image-text"],
        ["predict", str(bundle), posts, "--out", "nothing.csv"],
        ["evaluate", str(exported), posts],
        ["export", str(bundle), "--out", "nothing"],
    ]
    commands = json.dumps([["train", posts, "--out", "nothing", "--metric", "foo"], *reading])
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, commands], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["2 False False"] * 6
    first, *others = done.stderr.splitlines()
    assert "--metric foo" in first
    for line in others:
        assert "reading the text in pictures needs the package rapidocr_onnxruntime; from a clone" in line
        assert "'.[ocr]'" in line
    assert len(others) == 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_one_message(refused, tiny_bundle):
    refused(
        "evaluate", tiny_bundle, POSTS, "--split", "test", "--device", "cuda", says=["--device cuda: it cannot be used"]
    )
    with pytest.raises(SettingsError, match=r"^device='nonsense': it cannot be used here"):
        JointClassifier.load(tiny_bundle, device="nonsense")


def test_an_argument_at_fault_is_named_as_its_option(refused, tiny_text, tiny_image, posts_csv, tmp_path):
    encoders = ("--text-encoder", tiny_text, "--image-encoder", tiny_image)
    says = ["error: --max-tokens 3: the text encoder "]
    refused("train", posts_csv, "--out", tmp_path / "bundle", *encoders, "--max-tokens", 3, says=says)
    refused("train", posts_csv, "--out", tmp_path / "bundle", *encoders, "--batch-size", 0, says=["--batch-size 0: it"])


def test_in_python_the_same_mistakes_name_arguments(tmp_path):
    with pytest.raises(SettingsError, match=r"^epochs=-1: it must be at least 0$"):
        JointClassifier(epochs=-1).validated()
    with pytest.raises(SettingsError, match=r"^fusion='nonsense': choose one of gated"):
        JointClassifier(fusion="nonsense").validated()
    with pytest.raises(SettingsError, match=r"^validation=2: a fraction lies between 0 and 1$"):
        JointClassifier(progress=False).fit([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], validation=2)


def test_one_is_not_spoken_of_as_several():
    assert [counted(number, "post") for number in (0, 1, 2, 1000)] == ["0 posts", "1 post", "2 posts", "1,000 posts"]
    assert [counted(number, "post was", "posts were") for number in (1, 2)] == ["1 post was", "2 posts were"]


def test_a_table_of_one_post_is_scored_as_one_post(jointune, tiny_bundle, tmp_path):
    (tmp_path / "one.csv").write_text("text,image,label\ngood,,positive\n")
    code, said = jointune(
        "predict", tiny_bundle, tmp_path / "one.csv", "--out", tmp_path / "s.csv", "--image-column", ""
    )
    assert code == 0, said
    assert f"wrote {tmp_path / 's.csv'}: 1 post\n" in said
    code, said = jointune("evaluate", tiny_bundle, tmp_path / "one.csv")
    assert code == 0, said
    assert "on 1 post," in said
    assert not re.search(r"\b1 posts\b", said)
    (tmp_path / "bad.csv").write_text("text,image,label\ngood,,positive\nbad,nowhere.png,negative\n")
    code, said = jointune("evaluate", tiny_bundle, tmp_path / "bad.csv", "--on-bad-image", "skip")
    assert code == 0, said
    assert "1 post was left out" in said


def test_only_the_command_line_names_options():
    """Whoever calls the library reads its messages too, and has arguments; ``errors.setting`` names either."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "cli" in path.relative_to(PACKAGE).parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and re.search(r"(?<![\w(-])--(?!no-deps|upgrade|force-reinstall|index-url)[a-z][a-z-]+", node.value)
        ]
    assert not found


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epoch_steps", 3, "--epoch-steps 3"),
        ("augment", False, "--no-augment"),
        ("force", True, "--force"),
        ("train_layers", None, "--train-layers all"),
        ("normalise", ("links", "emoji"), "--normalise links,emoji"),
        ("text_encoder", "my model", "--text-encoder 'my model'"),
    ],
)
def test_a_setting_is_named_as_whoever_reads_it_gives_it(name, value, said):
    assert setting(name, value) == f"{name}={value!r}"
    with settings_rendered_by(option):
        assert setting(name, value) == said
    assert setting(name) == name
