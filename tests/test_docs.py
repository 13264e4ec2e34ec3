"""Everything that README.md and docs/ tell people to run is run here.

Each page has a folder of its own, in which its blocks run in their order:

- ``python`` blocks share a namespace;
- ``console`` blocks: lines after ``$`` are commands. What the page shows below them must be what they print; numbers
  may differ, and ``...`` stands for lines left out;
- ``bash`` blocks: every line is a command;
- ``exit=N`` after the language says how the commands end, where not with 0;
- ``no-run`` after the language is for what needs a network, several devices or another package: the commands, options,
  extras and arguments named there must exist;
- other languages are shown, not run.

In the folder lie the demo posts as ``posts.csv`` and ``pictures/``, and two encoder folders, ``my-bert``, ``my-vit``.
The built-in encoders are replaced by these two, so that training takes a second: the pages speak of the real ones,
which ``make demo`` runs.
"""

import ast
import importlib.util
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
RUN = [page for page in PAGES if page.name not in ("CONTRIBUTING.md", "CHANGELOG.md")]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Block(NamedTuple):
    language: str
    words: list[str]
    line: int
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found, start, info, lines = [], 0, "", []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if start:
                language, *words = info.split() or [""]
                found.append(Block(language, words, start, "\n".join(lines)))
                start, lines = 0, []
            else:
                start, info = number, line.removeprefix("```")
        elif start:
            lines.append(line)
    assert not start, f"{page}: the block at line {start} is not closed"
    return found


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each command of a shell block with the output that the page shows for it."""
    command, shown = "", []
    for line in block.text.replace("\\\n", " ").splitlines():
        if block.language == "console" and not line.startswith("$ "):
            shown.append(line)
            continue
        if command:
            yield command, shown
        command, shown = line.removeprefix("$ ").split(" # ")[0].strip(), []
    if command:
        yield command, shown


def pattern(line: str) -> str:
    """A line of output without what depends on the weights and the device: numbers, and which of them are kept."""
    line = re.sub(r"\b(bf16|fp32)\b", "0", line)
    line = re.sub(r"\d[\d,.]*", "0", re.sub("  (best so far|kept: .*)$", "", line))
    return re.sub(r"\s+", " ", line).strip()


@pytest.fixture
def page_folder(tmp_path, monkeypatch, tiny_text, tiny_image, cells_here) -> Iterator[Path]:
    from jointune.demo import POSTS
    from jointune.encoders import loading as home  # no setting gives another encoder than the one that a page names
    from jointune.encoders import packaged

    shutil.copytree(POSTS.parent, tmp_path, dirs_exist_ok=True)
    shutil.copytree(tiny_text, tmp_path / "my-bert")
    shutil.copytree(tiny_image, tmp_path / "my-vit")
    load_text, load_image = home.load_text_encoder, home.load_image_encoder
    monkeypatch.setattr(
        home,
        "load_text_encoder",
        lambda name, tokens=None: load_text(tiny_text if name in packaged.TEXT else name, tokens),
    )
    monkeypatch.setattr(
        home, "load_image_encoder", lambda name: load_image(tiny_image if name in packaged.IMAGE else name)
    )
    monkeypatch.setenv("JOINTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with cells_here():
        yield tmp_path


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_the_page_runs(page: Path, page_folder: Path, jointune: Callable[..., tuple[int, str]]):
    namespace: dict[str, object] = {"__name__": "docs"}
    for block in blocks_of(page):
        where = f"{name_of(page)}:{block.line}"
        if "no-run" in block.words:
            continue
        if block.language == "python":
            source = "\n" * block.line + block.text
            exec(compile(source, str(page), "exec", dont_inherit=True), namespace)
        elif block.language in ("console", "bash"):
            expected = next((int(word.removeprefix("exit=")) for word in block.words if word.startswith("exit=")), 0)
            for command, shown in commands_of(block):
                code, said = run(command, jointune)
                assert code == expected, f"{where}: {command}\n{said}"
                printed = {pattern(line) for line in said.splitlines()}
                for line in shown:
                    if line.strip() not in ("", "..."):
                        assert pattern(line) in printed, f"{where}: {command} does not print {line!r} but\n{said}"


def run(command: str, jointune: Callable[..., tuple[int, str]]) -> tuple[int, str]:
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in takewhile(lambda word: re.match(r"[A-Z_]+=", word), words))
    words = words[len(variables) :]
    if words[0] == "jointune":
        with patch.dict(os.environ, variables):
            return jointune(*words[1:])
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr


def assert_targets(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for word in words:
        assert "=" in word or word in targets, f"the Makefile has no target {word}"


def options_of(command: str) -> set[str]:
    import typer

    from jointune.cli.app import app

    group = typer.main.get_command(app)
    return {
        option
        for one in group.commands[command].params
        for option in [*one.opts, *one.secondary_opts]
        if option.startswith("-")
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_the_page_does_not_run_exists(page: Path):
    for block in blocks_of(page):
        if "no-run" not in block.words and page in RUN:
            continue
        if block.language == "python":
            assert_arguments(block)
        elif block.language in ("console", "bash"):
            for command, _ in commands_of(block):
                assert_known(command)


def assert_known(command: str) -> None:
    for part in command.split(" && "):
        assert_known_alone(part)


def assert_known_alone(command: str) -> None:
    words = shlex.split(command)
    while words and "=" in words[0]:  # VARIABLE=value in front of a command
        words.pop(0)
    if words[:2] == ["accelerate", "launch"]:
        from accelerate.commands.launch import launch_command_parser

        known = set(launch_command_parser()._option_string_actions)
        at = words.index("-m")
        assert {word for word in words[2:at] if word.startswith("-")} <= known, command
        words = words[at + 1 :]
    if words[0] == "make":
        assert_targets(words[1:])
    elif words[0] == "jointune":
        named = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
        assert named <= options_of(words[1]), f"{command}: no such option: {named - options_of(words[1])}"
    elif "pip" in [Path(word).name for word in words[:3]]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in words:
            for extra in re.findall(r"\[(.+)\]", word):
                assert set(extra.split(",")) <= set(extras), f"{command}: no such extra"
            if word.endswith(".txt"):
                assert (ROOT / word).is_file()
    else:
        assert words[0] in (
            "git",
            "cd",
            "tensorboard",
            "ray",
            "bash",
            ".ci/run",
            ".venv/bin/pre-commit",
            ".venv/bin/python",
        ), f"{command}: nothing checks such a command; teach it to tests/test_docs.py"


def assert_arguments(block: Block) -> None:
    """Every method and argument that the block calls our classes with exists."""
    from jointune import JointClassifier, read_posts
    from jointune.export.exporter import export

    callables = {"JointClassifier": JointClassifier, "read_posts": read_posts, "export": export}
    for node in ast.walk(ast.parse(block.text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        function = callables.get(name) or getattr(JointClassifier, name, None)
        if function:
            accepted = set(inspect.signature(function).parameters)
            assert {word.arg for word in node.keywords} <= accepted, f"{ast.unparse(node)}: no such argument"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_named_in_the_text_exist(page: Path):
    from jointune.cli.app import COMMANDS

    known = {"--version", "--help", *(option for command in COMMANDS for option in options_of(command))}
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    others = {"--mixed_precision", "--logdir", "--disable-usage-stats"}  # of accelerate, tensorboard and Ray
    spans = re.findall(r"`([^`\n]+)`", prose)
    named = {option for code in spans for option in re.findall(r"(?<!\S)--[a-z0-9_-]+", code)}
    assert named <= known | others, f"no such option: {named - known - others}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_the_page_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), f"{name_of(page)}: {target}"
        assert linked.is_relative_to(ROOT), f"{name_of(page)}: {target} leads outside the project"
        if anchor:
            assert anchor in anchors(linked), f"{name_of(page)}: {target}: no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page.name == "index.md" or f"({page.relative_to(ROOT / 'docs')})" in index


@pytest.mark.parametrize("page", ["cli.md", "python.md"])
def test_the_reference_is_what_the_code_says(page: str):
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "scripts" / "write_reference.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == writer.PAGES[page](), "run `make docs`"


def test_the_reference_names_every_metric():
    import dataclasses

    from jointune.evaluation.metrics import ClassScores, Metrics

    page = (ROOT / "docs" / "reference" / "metrics-json.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert named == {field.name for kind in (Metrics, ClassScores) for field in dataclasses.fields(kind)}


def test_the_reference_names_every_file_of_a_bundle(tiny_bundle: Path):
    page = (ROOT / "docs" / "reference" / "bundle-format.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([\w.]+\.\w+)` \|", page, re.MULTILINE))
    assert named == {file.name for file in tiny_bundle.iterdir()}


def test_the_defaults_that_the_pages_state():
    from jointune import JointClassifier
    from jointune.fusion.registry import NAMED

    page = (ROOT / "docs" / "how-to" / "choose-fusion.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w-]+)`(?: \(default\))? \|", page, re.MULTILINE)
    assert set(named) == set(NAMED)
    assert f"| `{JointClassifier().fusion}` (default) |" in page
