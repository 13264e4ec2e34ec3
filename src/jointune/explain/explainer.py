"""Explain the answers of a model, through its ``Predictor`` alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np

from jointune.data.post import Post
from jointune.data.problems import OnBadImage, Problem, raise_problems, stops
from jointune.errors import SettingsError, setting
from jointune.explain.changes import fewest_removed
from jointune.explain.explanation import Attribution, Explanation, Removal
from jointune.explain.neighbours import Neighbour, Neighbours
from jointune.explain.shares import Coalition, Shares, coalitions
from jointune.inference.predictor import Predictor
from jointune.modalities.parts import Parts
from jointune.utils.wording import listed

METHODS = ("occlusion", "gradients")
"""How parts are weighed: by removing each, with any model; or by integrated gradients, which need torch."""

Row = Mapping[str, Any]
"""A prepared post: the row of each modality."""


class Explainer:
    """Explains the answers of a model.

    Args:
        predictor: the model.
        label: to explain beside those of each answer.
        method: one of ``METHODS``.
        neighbours: the training posts, to name the nearest ones.

    Raises:
        SettingsError: the model has no such label, there is no such method, or the model is none of torch.
    """

    def __init__(
        self,
        predictor: Predictor,
        label: Sequence[str] = (),
        method: str = "occlusion",
        neighbours: Neighbours | None = None,
    ) -> None:
        if method not in METHODS:
            raise SettingsError(f"{setting('method', method)}: choose one of {', '.join(METHODS)}", setting="method")
        if unknown := [one for one in label if one not in predictor.labels]:
            known = listed(predictor.labels, len(predictor.labels)) or "none: it gives a number"
            raise SettingsError(
                f"{setting('label', unknown[0])}: the model has no such label", f"it has {known}", setting="label"
            )
        self._predictor, self.neighbours = predictor, neighbours
        self._asked = [predictor.labels.index(one) for one in label]
        self._integrate: Callable[..., list[Attribution]] = lambda *given: given[-1]
        if method == "gradients":
            gradients = import_module("jointune.explain.gradients")  # with torch
            gradients.check_gradients(predictor)
            self._integrate = gradients.integrated_gradients

    def explain(
        self,
        posts: Iterable[Post],
        policy: OnBadImage = "error",
        problems: list[Problem] | None = None,
        name: str = "posts",
        progress: bool = False,
    ) -> Iterator[Explanation]:
        """Explain any number of posts, one after the other; takes and raises what ``Predictor.stream`` does."""
        for post, images, problem in self._predictor.decoded(posts, policy, progress):
            if problem:
                fatal = [problem] if stops(problem, not post.empty, policy) else []
                raise_problems(fatal, name, skippable=True)
                if problems is not None:
                    problems.append(problem)
                if policy != "missing":
                    continue
            yield self.explain_one(post, images)

    def explain_one(self, post: Post, images: list[np.ndarray]) -> Explanation:
        """Explain a post.

        Args:
            post: the post.
            images: of the post, prepared and cropped.
        """
        predictor, target = self._predictor, self._predictor.target
        row = {name: of_modality[0] for name, of_modality in predictor.rows([post], [images]).items()}
        shown = {name: content for name, content in row.items() if content is not None}
        parts = {name: predictor.preprocessors[name].parts(post, content) for name, content in shown.items()}
        names = tuple(name for name, one in predictor.preprocessors.items() if one.without(post) is not post)
        hidden = self._coalitions(post, row, names)
        masks = [_by_modality(parts, mask) for mask in np.eye(_count(parts), dtype=bool)]
        variants = [row, *hidden.values(), *(_without(row, parts, mask) for mask in masks)]
        answers = self._score(variants)
        answer = answers[0]
        of_coalitions = dict(zip(hidden, answers[1:], strict=False)) | {frozenset(names): answer}
        shares = self._shares(names, of_coalitions, row)
        left = answers[1 + len(hidden) :]
        columns = list(dict.fromkeys([*target.decided(answer), *self._asked]))
        attributions = [
            Attribution(column, float(answer[column]), _by_modality(parts, answer[column] - left[:, column]))
            for column in columns
        ]
        attributions = self._integrate(predictor, row, parts, attributions)
        return Explanation(
            post,
            target,
            answer,
            shares,
            parts,
            attributions,
            self._removal(row, parts, answer, attributions[: len(target.decided(answer))]),
            images,
            self._nearest(row),
            self._notes(shares),
        )

    def _nearest(self, row: Row) -> list[Neighbour] | None:
        if self.neighbours is None:
            return None
        return self.neighbours.nearest(self._predictor.embed_rows({name: [row[name]] for name in row})[0])

    def _coalitions(self, post: Post, row: Row, names: Sequence[str]) -> dict[Coalition, Row]:
        """Return the post with only the modalities of each coalition, but for the one of all."""
        preprocessors = self._predictor.preprocessors
        shown: dict[Coalition, Row] = {}
        for coalition in coalitions(names)[:-1]:
            hidden = [name for name in names if name not in coalition]
            left = reduce(lambda rest, name: preprocessors[name].without(rest), hidden, post)
            # The text in an image is read as text, and stays with the image.
            text = self._predictor.text.rows([left])[0]
            shown[coalition] = {name: None if name in hidden else content for name, content in row.items()}
            shown[coalition] = {**shown[coalition], "text": text}
        return shown

    def _shares(self, names: tuple[str, ...], answers: dict[Coalition, np.ndarray], row: Row) -> Shares:
        counts = self._predictor.about.get("data", {}).get("training", {})
        base = self._predictor.target.without_posts(counts)
        from_training = base is not None
        if base is None:
            base = self._score([dict.fromkeys(row)])[0]
        return Shares(names, {**answers, frozenset(): base}, from_training)

    def _removal(
        self, row: Row, parts: Mapping[str, Parts], answer: np.ndarray, attributions: Sequence[Attribution]
    ) -> Removal | None:
        importance = np.sum([np.concatenate([*one.parts.values(), []]) for one in attributions], axis=0)

        def score(masks: Sequence[np.ndarray]) -> np.ndarray:
            return self._score([_without(row, parts, _by_modality(parts, mask)) for mask in masks])

        change = fewest_removed(importance, answer, score, self._predictor.target)
        if change is None:
            return None
        masks = _by_modality(parts, np.isin(np.arange(len(importance)), change.removed))
        return Removal(
            {name: np.flatnonzero(mask).tolist() for name, mask in masks.items() if mask.any()}, change.answer
        )

    def _score(self, rows: Sequence[Row]) -> np.ndarray:
        """Return answers, float64 [N, C]."""
        by_modality = {name: [row[name] for row in rows] for name in self._predictor.preprocessors}
        return self._predictor.score_rows(by_modality).astype(np.float64)

    def _notes(self, shares: Shares) -> list[str]:
        notes = []
        if self._predictor.about.get("settings", {}).get("modality_dropout") == 0 and len(shares.names) > 1:
            notes.append(
                f"The model was trained with {setting('modality_dropout', 0)}: it never learned to do without a "
                "modality, so that its answers to one alone may mean little."
            )
        return notes


def _count(parts: Mapping[str, Parts]) -> int:
    return sum(map(len, parts.values()))


def _by_modality(parts: Mapping[str, Parts], values: np.ndarray) -> dict[str, np.ndarray]:
    """Divide values of all parts, [P], by modality."""
    ends = np.cumsum([len(one) for one in parts.values()])
    return dict(zip(parts, np.split(values, ends[:-1]), strict=True)) if parts else {}


def _without(row: Row, parts: Mapping[str, Parts], masks: Mapping[str, np.ndarray]) -> Row:
    """Return a row without the parts of each modality's mask."""
    return {
        name: parts[name].remove(masks[name]) if name in masks and masks[name].any() else content
        for name, content in row.items()
    }
