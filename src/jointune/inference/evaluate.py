"""Scores of whatever scores posts."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from jointune.data.labels import label_text
from jointune.data.post import Posts
from jointune.data.problems import OnBadImage, Problem, raise_problems
from jointune.data.read import check_fields, no_column
from jointune.data.split import identity_groups
from jointune.errors import PostsError, SettingsError, setting
from jointune.evaluation.notes import notes_on_known
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.significance import Difference, Run, paired_difference
from jointune.inference.predictor import Predictor
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.targets.target import Target
from jointune.utils.wording import listed


@dataclass(frozen=True)
class Evaluation:
    """Posts that were scored, and how well.

    Attributes:
        target: what was asked.
        posts: those that could be used, N.
        truth: their encoded labels, [N, ...].
        answers: float32 [N, C].
        metrics: their scores.
        notes: what to know before the scores are trusted.
    """

    target: Target
    posts: Posts
    truth: np.ndarray
    answers: np.ndarray
    metrics: ScoreTable
    notes: tuple[str, ...]

    @property
    def chosen(self) -> np.ndarray:
        """The predictions, of the kind of ``truth``."""
        return self.target.choose(self.answers)

    def by(self, column: str) -> dict[str, ScoreTable]:
        """Score the posts of each value of a column apart; takes and raises what ``values_of`` does."""
        members = values_of(self.posts, column)
        return {value: self.target.metrics(self.truth[of], self.answers[of]) for value, of in members.items()}


def values_of(posts: Posts, column: str) -> dict[str, list[int]]:
    """Return the indices of the posts of each value of a column, the most frequent first; an empty cell is ``""``.

    Raises:
        PostsError: no post has the column, or a cell holds a list or the like.
    """
    if not any(column in post.fields for post in posts):
        columns = dict.fromkeys(name for post in posts for name in post.fields)
        raise no_column(posts.name, column, columns, "correct its name")
    members: dict[str, list[int]] = defaultdict(list)
    problems = []
    for index, post in enumerate(posts):
        try:
            members[label_text(post.fields.get(column)) or ""].append(index)
        except TypeError as reason:
            remedy = "give a text or a number, or nothing"
            problems.append(Problem(post.where, f"column {column!r}", str(reason), remedy))
    raise_problems(problems, posts.name)
    return {value: members[value] for value in sorted(members, key=lambda value: (-len(members[value]), value))}


def check_pair(own: Target, other: Target, name: str) -> None:
    """Check that two models answer the same question with the same labels, so that they can be compared.

    Args:
        own: what is asked of the first.
        other: what is asked of the second.
        name: what messages call the second.

    Raises:
        SettingsError: they do not.
    """
    if (own.name, own.labels) != (other.name, other.labels):
        its, ours = (f"{one.name} ({listed(one.labels, 8) or 'numbers'})" for one in (other, own))
        raise SettingsError(
            f"{setting('against', name)}: its target is {its}, that of the first is {ours}",
            "name a model with the same target and labels",
            setting="against",
        )


def compare_evaluations(first: Evaluation, second: Evaluation) -> dict[str, Difference]:
    """Pair two models on the same posts: the first one's score minus the second's, with 95 % intervals, by score."""
    target = first.target
    groups = np.array(identity_groups(first.posts))
    own, others = (
        [Run(0, 0, np.arange(len(one.posts)), one.truth, one.chosen, len(one.posts))] for one in (first, second)
    )
    return {
        score: paired_difference(own, others, target.measure(score), len(target.labels), groups)
        for score in target.compared
    }


def evaluation_of(
    predictor: Predictor,
    posts: Posts,
    policy: OnBadImage = "error",
    problems: list[Problem] | None = None,
    batch_size: int = 32,
    progress: bool = False,
    part: str = "",
) -> Evaluation:
    """Score labelled posts.

    Args:
        predictor: of a bundle, or of an exported model.
        posts: labelled.
        policy: what to do about a picture that cannot be read.
        problems: takes what was wrong with posts that were skipped or scored without their picture.
        batch_size: posts a batch.
        progress: whether a bar is shown while the text in pictures is read.
        part: what notes call the posts, such as ``test``.

    Raises:
        PostsError: a post cannot be used, has no label, or has one that was not in training.
    """
    if not posts:
        raise PostsError(f"{posts.name}: no posts to evaluate on")
    if predictor.columns:
        check_fields(predictor.columns, dict.fromkeys(name for post in posts for name in post.fields), posts.name)
    target = predictor.target
    target.encode(posts)
    fit = TextFitCounter(predictor.text)
    scored = list(predictor.stream(posts, policy, problems, posts.name, batch_size, progress, fit))
    if not scored:
        raise PostsError(f"{posts.name}: no post is left to evaluate on")
    kept = Posts((entry.post for entry in scored), posts.name)
    truth, answers = target.encode(kept), np.stack([entry.probabilities for entry in scored])
    metrics = target.metrics(truth, answers)
    found = target.notes_on_answers(metrics, part)
    if predictor.learned is not None:
        found += notes_on_known(predictor.learned.known(kept), truth, answers, target.metrics, part)
    found += [note for one in predictor.preprocessors.values() for note in one.notes(kept, part)]
    if not part:  # of posts that training was given, it tells by itself how their texts fit
        found += predictor.notes_on_texts(fit)
    return Evaluation(target, kept, truth, answers, metrics, tuple(found))
