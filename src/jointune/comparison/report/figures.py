"""Numbers and lists as people read them."""

from collections.abc import Sequence

from jointune.comparison.protocol import Budget

MINUS, TIMES, DASH = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


def score(value: float) -> str:
    """A score, to three decimals."""
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", MINUS)


def signed(value: float) -> str:
    """A difference, to three decimals, with its sign."""
    return f"{value:+.3f}".replace("+0.000", "0.000").replace("-0.000", "0.000").replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """Both ends of an interval of scores."""
    return f"{score(low)} to {score(high)}"


def signed_interval(low: float, high: float) -> str:
    """Both ends of an interval of differences."""
    return f"{signed(low)} to {signed(high)}"


def p_value(value: float) -> str:
    """A p-value, to three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """A whole number."""
    return f"{round(value):,}"


def percent(share: float) -> str:
    """A share, in whole hundredths; one that is small or nearly all is not called nothing or all."""
    hundredths = 100 * share
    if 0 < hundredths < 1:
        return "less than 1 %"
    return f"{min(hundredths, 99) if hundredths < 100 else 100:.0f} %"


def amount(value: float | None) -> str:
    """A measured amount, to two or three digits; a dash where it was not measured."""
    if value is None:
        return DASH
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def plural(number: int, singular: str, several: str = "") -> str:
    """A number and what it counts."""
    return f"{number:,} {singular if number == 1 else several or singular + 's'}"


def listed(names: Sequence[str], most: int | None = None) -> str:
    """Names in a sentence; of more than ``most``, the first ones and the number of the others."""
    shown = list(names)
    if most is not None and len(shown) > most:
        shown = [*shown[: most - 1], f"{len(names) - most + 1:,} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def budget_name(budget: Budget) -> str:
    """A budget in a sentence."""
    return "all training posts" if budget is None else f"{plural(budget, 'training post')} a label"


def budget_names(budgets: Sequence[Budget]) -> str:
    """Several budgets in a sentence."""
    numbers = [f"{budget:,}" for budget in budgets if budget is not None]
    several = [f"{listed(numbers)} training {'post' if numbers == ['1'] else 'posts'} a label"] if numbers else []
    return ", and ".join([*several, *(["all training posts"] if None in budgets else [])])
