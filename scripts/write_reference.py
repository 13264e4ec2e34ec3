"""Write the reference pages from the code itself: docs/reference/cli.md and docs/reference/python.md."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

_NOTE = "<!-- Written by scripts/write_reference.py: change the code and run `make docs`. -->"
_KINDS = {int: "INTEGER", float: "NUMBER", Path: "PATH"}
_SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")


def command_line() -> str:
    """Return the commands with their arguments and options, as Markdown."""
    from jointune.cli.app import COMMANDS, app

    group: Any = typer.main.get_command(app)
    lines = [
        "# Command line",
        "",
        _NOTE,
        "",
        group.help,
        "",
        "| command | does |",
        "| --- | --- |",
        *(f"| [`{name}`](#jointune-{name}) | {_first(command.help)} |" for name, command in group.commands.items()),
        "",
        "`jointune --version` shows the version; `--help` or `-h` after any command shows its options.",
        "",
        "| exit code | means |",
        "| ---: | --- |",
        "| 0 | done |",
        "| 1 | `check` found problems, or a cell of `compare` crashed |",
        "| 2 | an error; one message tells what happened, where, and the remedy |",
        "| 130 | stopped by Ctrl-C, or by a signal after the state of a training was saved |",
        "| 129, 143 | stopped by SIGHUP, as when a terminal is closed, or by SIGTERM |",
    ]
    for name, command in group.commands.items():
        lines += ["", f"## jointune {name}", "", *_command(name, command, _types(COMMANDS[name]))]
    return "\n".join(lines) + "\n"


def _types(function: Any) -> dict[str, Any]:
    """Return the type of each parameter, without Annotated."""
    parameters = inspect.signature(function).parameters.values()
    return {one.name: getattr(one.annotation, "__origin__", one.annotation) for one in parameters}


def _command(name: str, command: Any, types: dict[str, Any]) -> Iterator[str]:
    def value(parameter: Any) -> str:
        found = (kind for kind in _KINDS if kind in (types.get(parameter.name), *get_args(types.get(parameter.name))))
        return parameter.metavar or _KINDS.get(next(found, str), "TEXT")

    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    required = [f" {one.opts[0]} {value(one)}" for one in options if one.required]
    usage = "".join(f" {value(one)}" for one in arguments) + "".join(required) + " [OPTIONS]"
    yield from ("```text", f"jointune {name}{usage}", "```", "", _plain(command.help), "")
    if arguments:
        yield from ("| argument | is |", "| --- | --- |")
        yield from (f"| `{value(one)}` | {_plain(one.help or '')} |" for one in arguments)
        yield ""
    panels: dict[str, list[Any]] = {}
    for option in options:
        panels.setdefault(getattr(option, "rich_help_panel", None) or "Options", []).append(option)
    for number, panel in enumerate(sorted(panels, key=lambda title: title != "Options")):
        yield from (["", f"{panel}:", ""] if number else [])
        yield from ("| option | is | default |", "| --- | --- | --- |")
        for option in panels[panel]:
            spelled = ", ".join(f"`{one}`" for one in [*option.opts, *option.secondary_opts])
            taken = "" if option.is_flag else f" `{_cell(value(option))}`"
            yield f"| {spelled}{taken} | {_plain(option.help or '')} | {_default(option)} |"


def _default(option: Any) -> str:
    if option.required:
        return "required"
    return "" if option.is_flag or option.default is None else f"`{_cell(str(option.default))}`"


def python_names() -> str:
    """Return the public names with signatures and descriptions, as Markdown."""
    import jointune
    from jointune.evaluation.metrics import ClassScores

    errors = [name for name in jointune.__all__ if _is_error(getattr(jointune, name))]
    lines = [
        "# Python",
        "",
        _NOTE,
        "",
        f"Everything here is imported from `jointune`: {', '.join(f'`{name}`' for name in jointune.__all__)}.",
        "Names are loaded when they are first used: `import jointune` alone takes milliseconds and loads no torch.",
        "",
        "## read_posts",
        "",
        *_function("read_posts", jointune.read_posts),
        "",
        "## Posts",
        "",
        *_class(jointune.Posts),
        "",
        "## Post",
        "",
        *_class(jointune.Post),
        "",
        "## JointClassifier",
        "",
        *_class(jointune.JointClassifier),
        "",
        "`get_params`, `set_params` and scikit-learn's `clone` work as on any estimator.",
        "",
        "## Metrics",
        "",
        *_class(jointune.Metrics),
        "",
        "## Metrics of other targets",
        "",
        *_class(jointune.SeveralMetrics),
        "",
        *_class(jointune.OrderedMetrics),
        "",
        *_class(jointune.NumberMetrics),
        "",
        "Each value of `per_class` is a `ClassScores`:",
        "",
        *_function("ClassScores", ClassScores),
        "",
        "## Errors",
        "",
        "| error | is |",
        "| --- | --- |",
        *(f"| `{name}` | {_described(_parts(inspect.getdoc(getattr(jointune, name)))[0])} |" for name in errors),
        "",
        "`JointuneError` is their base. `SettingsError` is also a `ValueError`, `MissingExtraError` an `ImportError`.",
    ]
    return "\n".join(lines) + "\n"


def _class(kind: type) -> Iterator[str]:
    yield from _function(kind.__name__, kind)
    own = [base for base in (kind, *reversed(kind.__mro__[1:])) if base.__module__.startswith("jointune")]
    for name, member in (entry for base in own for entry in vars(base).items()):
        if name.startswith("_") or not inspect.getdoc(member):
            continue
        if isinstance(member, property):
            yield from ("", f"### {kind.__name__}.{name}", "", _described(inspect.getdoc(member)))
        elif inspect.isfunction(member) or isinstance(member, classmethod):  # not what scikit-learn generates
            yield from ("", f"### {kind.__name__}.{name}", "")
            yield from _function(f"{kind.__name__}.{name}", getattr(kind, name))


def _function(name: str, function: Any) -> Iterator[str]:
    yield from ("```text", _signature(name, function), "```", "")
    description, sections = _parts(inspect.getdoc(function))
    yield _described(description)
    for title, entries in sections.items():
        yield ""
        if title in ("Returns", "Yields"):
            yield f"{title}: {_described(' '.join(entries))}"
            continue
        head = {"Args": "argument", "Attributes": "attribute", "Raises": "raises"}[title]
        yield from (f"| {head} | {'when' if title == 'Raises' else 'is'} |", "| --- | --- |")
        for entry in entries:
            word, _, meaning = entry.partition(":")
            yield f"| `{word}` | {_cell(_described(meaning.strip()))} |"


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    chosen = [parameter for word, parameter in signature.parameters.items() if word != "self"]
    parts: list[str] = []
    for parameter in chosen:
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = "" if parameter.default is parameter.empty else f"={_spelled(parameter.default)}"
        parts.append(f"{parameter.name}{default}")
    line = f"{name}({', '.join(parts)})"
    return line if len(line) <= 100 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _spelled(default: object) -> str:
    # a dataclass shows a factory as an object with an address
    return "..." if "<" in repr(default) else repr(default)


def _parts(docstring: str | None) -> tuple[str, dict[str, list[str]]]:
    """Split a docstring in Google's style into its description and its sections, with one line for each entry."""
    description: list[str] = []
    sections: dict[str, list[str]] = {}
    entries: list[str] | None = None
    for line in (docstring or "").splitlines():
        if line.rstrip(":") in _SECTIONS and line.endswith(":"):
            entries = sections.setdefault(line.rstrip(":"), [])
        elif entries is None or (line and not line.startswith(" ")):
            entries = None
            description.append(line)
        elif line.startswith("        ") and entries:
            entries[-1] += " " + line.strip()
        elif line.strip():
            entries.append(line.strip())
    return "\n".join(description).strip(), sections


def _is_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Exception)


def _first(text: str) -> str:
    return _plain(text.strip().split("\n\n")[0])


def _plain(text: str) -> str:
    """Paragraphs on one line each, fit for a table or a page."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


def _described(text: str | None) -> str:
    return _plain(re.sub(r"``(.+?)``", r"`\1`", text or ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"cli.md": command_line, "python.md": python_names}

if __name__ == "__main__":
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for page, write in PAGES.items():
        (REFERENCE / page).write_text(write(), encoding="utf-8")
        print(f"wrote {REFERENCE / page}")
