"""Which posts every method learns from, chooses on and is tested on."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from jointune.data.divide import VALIDATION
from jointune.data.label_checks import split_problems
from jointune.data.post import Posts
from jointune.data.problems import raise_problems
from jointune.data.split import split_posts
from jointune.errors import PostsError, SettingsError, setting

Budget = int | None
"""Training posts a label; None for all there are."""


def budgets_of(given: Iterable[int | str | None]) -> list[Budget]:
    """The budgets, each once.

    Args:
        given: numbers of training posts a label; ``"all"`` or None for all of them.

    Raises:
        SettingsError: there are none, or one is no such number.
    """
    budgets: list[Budget] = []
    for budget in given:
        whole = budget is None or budget == "all"
        if not whole and not (str(budget).isdecimal() and int(str(budget)) > 0):
            raise SettingsError(
                f"{setting('label_budgets')}: {budget!r} is neither a number of posts a label nor 'all'",
                setting="label_budgets",
            )
        budgets.append(None if whole else int(str(budget)))
    if not budgets:
        raise SettingsError(f"{setting('label_budgets')}: one at least", setting="label_budgets")
    return list(dict.fromkeys(budgets))


@dataclass(frozen=True)
class Fold:
    """One division of the posts, by their numbers, each ascending.

    Attributes:
        number: of the fold.
        learn: the posts to learn from.
        check: the posts for early stopping and selection.
        test: the posts to be tested on, once.
        shared: how many test posts share a picture or a text with a post of the other two parts: none, unless the
            user's own split column divides them so.
    """

    number: int
    learn: tuple[int, ...]
    check: tuple[int, ...]
    test: tuple[int, ...]
    shared: int = 0


def make_folds(posts: Posts, count: int, groups: Sequence[int], seed: int = 0) -> list[Fold]:
    """Stratified folds in which posts that share a picture or a text stay together.

    Args:
        posts: labelled posts.
        count: number of folds; every post is tested once.
        groups: what ``identity_groups`` says of the posts.
        seed: of the division, and of the validation part carved out of each training part.

    Raises:
        SettingsError: fewer than two folds.
        PostsError: a label has too few posts for every fold to learn it and be tested on it.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if count < 2:
        raise SettingsError(f"{setting('folds', count)}: two at least, or name a split column", setting="folds")
    rarest, number = min(Counter(post.label for post in posts).items(), key=lambda entry: entry[1])
    if number < count:
        raise PostsError(
            f"{posts.name}: only {number} posts are labelled {rarest!r}, too few for {count} folds",
            "use fewer folds, add posts, or merge the label into another",
        )
    if len(set(groups)) < count:
        raise PostsError(
            f"{posts.name}: posts that share a picture or a text stay together, which leaves "
            f"{len(set(groups))} groups, too few for {count} folds",
            "use fewer folds, or add other posts",
        )
    labels = np.array([post.label for post in posts], dtype=object).astype(str)
    divided = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(posts)), labels, groups)
    folds = []
    for fold, (rest, test) in enumerate(divided):
        learn, check = split_posts(posts.take(rest), VALIDATION, seed)
        folds.append(Fold(fold, _chosen(rest, learn), _chosen(rest, check), tuple(map(int, test))))
    return folds


def fold_of_split(posts: Posts, groups: Sequence[int], seed: int = 0) -> Fold:
    """The one fold that the posts' own split says; validation posts are carved out of training where it names none.

    Raises:
        PostsError: no post is marked train, or none test, or one is marked otherwise.
    """
    raise_problems(list(split_problems(posts)), posts.name)
    parts: dict[str | None, list[int]] = defaultdict(list)
    for index, post in enumerate(posts):
        parts[post.split].append(index)
    for part in ("train", "test"):
        if not parts[part]:
            raise PostsError(
                f"{posts.name}: no post is marked {part} in the split column, and a comparison needs both "
                "train and test",
                "mark some, or use folds instead",
            )
    learn, check = parts["train"], parts["validation"]
    if not check:
        rest = learn
        held_in, held_out = split_posts(posts.take(rest), VALIDATION, seed)
        learn, check = [rest[i] for i in held_in], [rest[i] for i in held_out]
    seen = {groups[index] for index in (*learn, *check)}
    shared = sum(groups[index] in seen for index in parts["test"])
    return Fold(0, tuple(learn), tuple(check), tuple(parts["test"]), shared)


def draw(posts: Posts, learn: Sequence[int], budget: Budget, seed: int) -> tuple[int, ...]:
    """The training posts of a budget.

    Draws of one seed are nested: a larger budget holds every post of a smaller one.

    Args:
        posts: all posts.
        learn: the numbers of those to draw from.
        budget: posts a label; a label that has fewer gives all it has. None for all posts.
        seed: of the draw.
    """
    if budget is None:
        return tuple(learn)
    by_label: dict[str | None, list[int]] = defaultdict(list)
    for index in learn:
        by_label[posts[index].label].append(index)
    chosen: list[int] = []
    for number, label in enumerate(sorted(by_label, key=str)):
        order = np.random.default_rng([seed, number]).permutation(len(by_label[label]))
        chosen += [by_label[label][i] for i in order[:budget]]
    return tuple(sorted(chosen))


def _chosen(numbers: np.ndarray, indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(numbers[i]) for i in indices)
