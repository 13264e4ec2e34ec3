"""Find the posts on which methods disagree most, and show them with their images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jointune.comparison.comparison import Comparison
from jointune.comparison.report.pooled import Pool
from jointune.output.pages.post_cards import card, one_of_each, parting, prediction


def disagreements(comparison: Comparison, pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """Return the test posts whose predictions differ most between methods, most first, one per group of equal posts.

    See ``card`` for what each holds.
    """
    if len(pools) < 2:
        return []
    scores = np.stack([pool.by_post(len(comparison.posts)) for pool in pools])
    target, tested = comparison.target, np.flatnonzero(np.isfinite(scores).all((0, 2)))
    order = [int(tested[place]) for place in parting(scores[:, tested], target)]
    cards = []
    for index in one_of_each(order, comparison.groups):
        truth = comparison.truth[index : index + 1]
        predictions = [
            prediction(pool.method, target, row, bool(np.all(target.choose(row[None]) == truth)))
            for pool, row in zip(pools, scores[:, index], strict=True)
        ]
        cards.append(card(comparison.posts[index], index + 1, predictions))
    return cards
