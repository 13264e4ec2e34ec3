"""Format numbers and lists for people."""

from collections.abc import Sequence

from jointune.utils.wording import counted

MINUS, TIMES, DASH = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}", "\N{EN DASH}"


def score(value: float) -> str:
    """Format a score, to three decimals."""
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", MINUS)


def signed(value: float) -> str:
    """Format a difference, to three decimals, with its sign."""
    return f"{value:+.3f}".replace("+0.000", "0.000").replace("-0.000", "0.000").replace("-", MINUS)


def interval(low: float, high: float) -> str:
    """Format both ends of an interval of scores."""
    return f"{score(low)} to {score(high)}"


def signed_interval(low: float, high: float) -> str:
    """Format both ends of an interval of differences."""
    return f"{signed(low)} to {signed(high)}"


def p_value(value: float) -> str:
    """Format a p-value, to three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def with_article(name: str) -> str:
    """Put the indefinite article before the name of a score."""
    return f"{'an' if name[0] in 'aeiouAEIOUMR' else 'a'} {name}"


def count(value: float) -> str:
    """Format a whole number."""
    return f"{round(value):,}"


def percent(share: float) -> str:
    """Format a share in whole hundredths; a small one is not called nothing, nor nearly all called all."""
    hundredths = 100 * share
    if 0 < hundredths < 1:
        return "less than 1 %"
    return f"{min(hundredths, 99) if hundredths < 100 else 100:.0f} %"


def amount(value: float | None) -> str:
    """Format a measured amount, to two or three digits; a dash if it was not measured."""
    if value is None:
        return DASH
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def listed(names: Sequence[str], most: int | None = None) -> str:
    """List names in a sentence; of more than ``most``, the first ones and the number of the others."""
    shown = list(names)
    if most is not None and len(shown) > most:
        shown = [*shown[: most - 1], f"{len(names) - most + 1:,} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def budget_name(budget: int | None) -> str:
    """Name a label budget; None is all training posts."""
    return "all training posts" if budget is None else f"{counted(budget, 'training post')} a label"


def budget_names(budgets: Sequence[int | None]) -> str:
    """Name several label budgets."""
    numbers = [f"{budget:,}" for budget in budgets if budget is not None]
    several = [f"{listed(numbers)} training {'post' if numbers == ['1'] else 'posts'} a label"] if numbers else []
    return ", and ".join([*several, *(["all training posts"] if None in budgets else [])])
