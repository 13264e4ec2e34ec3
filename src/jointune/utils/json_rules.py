"""Rules for JSON values of files that others may have written, and a clear error where one is broken."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jointune.errors import BundleError, MissingExtraError, first_line, is_fatal

Rule = Callable[[Any], str | None]
"""What is wrong with a value, after its name; None where nothing is."""


@contextmanager
def clear_build_errors(folder: Path, whole: str) -> Iterator[None]:
    """Turn whatever comes of a bundle or an export that fits its digests, but not itself, into one clear error."""
    try:
        yield
    except (BundleError, MissingExtraError):
        raise
    except BaseException as reason:
        if is_fatal(reason):
            raise
        raise BundleError(
            f"{folder}: what it describes cannot be run: {first_line(reason)}",
            f"copy the whole {whole} again, or make it anew",
        ) from reason


def check(value: Any, rule: Rule, path: Path, whole: str) -> Any:
    """Return the value, once it is what the rule wants.

    Args:
        value: of a JSON file.
        rule: one of this module.
        path: of the file, for messages.
        whole: what the file is a part of, for messages.

    Raises:
        BundleError: it is something else.
    """
    if wrong := rule(value):
        raise BundleError(f"{path}: {wrong.lstrip('.')}", f"copy the whole {whole} again, or make it anew")
    return value


def _that(holds: Callable[[Any], bool], wanted: str) -> Rule:
    return lambda value: None if holds(value) else f" must be {wanted}, not {_shown(value)}"


def _is_text(value: Any) -> bool:
    # A lone surrogate, which JSON can hold, can be written nowhere.
    return isinstance(value, str) and len(value) <= 100_000 and not any("\ud800" <= one <= "\udfff" for one in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300


def whole(low: int, high: int) -> Rule:
    """Make a rule: a whole number between two."""
    return _that(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"a whole number from {low:,} to {high:,}",
    )


def number(low: float = -math.inf, high: float = math.inf, above: bool = False) -> Rule:
    """Make a rule: a finite number between two; ``above`` the lower one."""
    return _that(
        lambda value: _is_number(value) and low <= value <= high and not (above and value == low),
        f"a number{' above' if above else ' from'} {low:g} to {high:g}" if math.isfinite(low) else "a finite number",
    )


def one_of(*choices: str | None) -> Rule:
    """Make a rule: one of these."""
    return _that(
        lambda value: isinstance(value, str | None) and value in choices, f"one of {', '.join(map(repr, choices))}"
    )


def optional(rule: Rule) -> Rule:
    """Make a rule: None, or what another rule wants."""
    return lambda value: None if value is None else rule(value)


def listed(rule: Rule, fewest: int = 0, most: int = 1_000_000) -> Rule:
    """Make a rule: a list of so many values that another rule wants."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            return f" must be a list of {fewest:,}{f' to {most:,}' if most != fewest else ''}, not {_shown(value)}"
        return next((f"[{place}]{found}" for place, one in enumerate(value) if (found := rule(one))), None)

    return wrong


def row(*rules: Rule) -> Rule:
    """Make a rule: a list with one value for each rule."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) != len(rules):
            return f" must be a list of {len(rules)}, not {_shown(value)}"
        return next((f"[{n}]{found}" for n, rule in enumerate(rules) if (found := rule(value[n]))), None)

    return wrong


def mapped(rule: Rule) -> Rule:
    """Make a rule: an object of any names, with values that another rule wants."""

    def wrong(value: Any) -> str | None:
        if not isinstance(value, dict) or not all(map(_is_text, value)):
            return f" must be an object, not {_shown(value)}"
        return next((f".{name}{found}" for name, one in value.items() if (found := rule(one))), None)

    return wrong


def record(needed: Mapping[str, Rule], more: Mapping[str, Rule] | None = None, closed: bool = False) -> Rule:
    """Make a rule: an object with these names.

    Args:
        needed: rules of what may not be missing.
        more: rules of what may, as in files of older versions.
        closed: whether other names are refused.
    """
    rules = {**needed, **(more or {})}

    def wrong(value: Any) -> str | None:
        if not isinstance(value, dict):
            return f" must be an object, not {_shown(value)}"
        if missing := [name for name in needed if name not in value]:
            return f".{missing[0]} is missing"
        if closed and (unknown := [name for name in value if name not in rules]):
            return f".{unknown[0][:40]} is unknown to this version"
        return next(
            (f".{name}{found}" for name in value if name in rules and (found := rules[name](value[name]))), None
        )

    return wrong


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value):,}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1e18:
        return "a number of many digits"
    return repr(value[:40] if isinstance(value, str) else value)


text = _that(_is_text, "a text")
boolean = _that(lambda value: isinstance(value, bool), "true or false")
anything: Rule = lambda _: None  # noqa: E731
