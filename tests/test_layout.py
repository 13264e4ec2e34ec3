"""The tree of the package: a newcomer finds a behaviour by its folder and its file name, and imports point one way."""

import ast
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "jointune"
SOURCES = {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}

FOR_ALL = ("utils", "errors", "config")
ORDER = (
    *FOR_ALL,
    "data",
    "modalities",
    "encoders",
    "fusion",
    "evaluation",
    "targets",
    "model",
    "persistence",
    "inference",
    "explain",
    "training",
    "classifier",
    "output",
    "scale",
    "baselines",
    "tuning",
    "comparison",
    "datasets",
    "demo",
    "audit",
    "export",
    "serve",
    "ui",
    "cli",
)
"""Each imports only from those before it."""


def room_of(path: Path) -> str:
    if path.parts[0] == "modalities" and path.name == "modality.py":
        return "encoders"  # where a modality is put together with its encoder
    return path.parts[0].removesuffix(".py")


def imports_of(source: str) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {node.module.split(".")[1] for node in nodes if node.module and node.module.startswith("jointune.")}


def test_imports_point_one_way():
    wrong = {}
    for path, source in SOURCES.items():
        room = room_of(path)
        if room.startswith("__") or room == "config":  # the settings name what the rooms offer to choose from
            continue
        allowed = FOR_ALL if room in FOR_ALL else ORDER[: ORDER.index(room) + 1]
        typing_only = "TYPE_CHECKING" in source and room == "utils"
        if not typing_only and (others := imports_of(source) - set(allowed)):
            wrong[str(path)] = sorted(others)
    assert wrong == {}


def test_names_and_sizes():
    assert len([path for path in SOURCES if len(path.parts) == 1]) <= 8
    stems = Counter(p.stem for p in SOURCES if p.stem != "__init__" and not {"modalities", "cli"} & set(p.parts))
    assert [name for name, count in stems.items() if count > 1] == []
    assert [str(path) for path, source in SOURCES.items() if source.count("\n") > 400] == []


def test_no_error_is_swallowed_in_silence():
    silent = []
    for path, source in SOURCES.items():
        for handler in ast.walk(ast.parse(source)):
            if not isinstance(handler, ast.ExceptHandler):
                continue
            broad = handler.type is None or ast.unparse(handler.type) in ("Exception", "BaseException")
            calls = [ast.unparse(node.func) for node in ast.walk(handler) if isinstance(node, ast.Call)]
            raised = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
            logged = any(word in call for call in calls for word in ("log", "warn", "fail", "exception", "record"))
            if broad and not raised and not logged:
                silent.append(f"{path}:{handler.lineno}")
    assert silent == []
