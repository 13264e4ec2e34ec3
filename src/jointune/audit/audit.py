"""Audit posts, and a model on them: what is likely to be wrong, and what to label next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jointune.audit.label_next import Next, label_next
from jointune.audit.model_findings import ModelFindings, model_findings
from jointune.audit.named_labels import NamedLabel, named_labels
from jointune.audit.near_duplicates import Pair, near_duplicates
from jointune.audit.out_of_fold import Judged, judge_out_of_fold
from jointune.audit.slices import Slice, members, slices
from jointune.classifier import JointClassifier
from jointune.data.post import Posts
from jointune.errors import OutputError, SettingsError, setting
from jointune.inference.predictor import Predictor
from jointune.output.writers import open_writer, text_layout
from jointune.utils.extras import require
from jointune.utils.files import AUDIT_MARK, atomic_folder
from jointune.utils.run_folder import RunFolder

SUSPICION = ("suspicion", "suggested_label")
LEAK = ("near_duplicate", "its_split", "shared", "likeness")
PRIORITY = ("priority", "prediction", "margin")


@dataclass(frozen=True)
class Conflict:
    """A post of which text alone and image alone say different things, both surely.

    Attributes:
        post: its number.
        says: by modality, the label and its probability.
        together: the label of both together.
    """

    post: int
    says: Mapping[str, tuple[str, float]]
    together: str

    @property
    def strength(self) -> float:
        """The lesser probability of the two."""
        return min(sure for _, sure in self.says.values())


@dataclass(frozen=True)
class Audit:
    """The findings.

    Attributes:
        judged: the posts, with answers that were not learned from them.
        suspicion: of each label, float [N], from 0 to 1: greater is more likely to be wrong.
        likely_errors: the number of labels that confident learning takes for wrong.
        suggested: the most probable label of each post, by its name.
        pairs: near-duplicates.
        conflicts: the clearest first.
        slices: by the answers of ``judged``, the least accurate first.
        named: labels whose names were read in images; None where these were not read.
        model: what is found about a model; None without one.
        next: unlabelled posts, the one first that should be labelled first.
    """

    judged: Judged
    suspicion: np.ndarray
    likely_errors: int
    suggested: list[str]
    pairs: list[Pair]
    conflicts: list[Conflict]
    slices: list[Slice]
    named: list[NamedLabel] | None = None
    model: ModelFindings | None = None
    next: list[Next] = field(default_factory=list)

    @property
    def leaks(self) -> list[Pair]:
        """The pairs of posts in different splits."""
        posts = self.judged.posts
        return [pair for pair in self.pairs if posts[pair.first].split != posts[pair.second].split]


def audit(
    posts: Posts,
    out: str | Path | None = None,
    *,
    classifier: JointClassifier | None = None,
    predictor: Predictor | None = None,
    unlabelled: Posts | None = None,
    force: bool = False,
) -> Audit:
    """Audit labelled posts; write ``audit.html``, ``suspicion.csv`` and ``leaks.csv`` to a folder.

    Args:
        posts: with one label each, and splits for leaks between them.
        out: the folder; None to write nothing.
        classifier: its settings name encoders, seed and device, and say whether the text in images is read.
        predictor: a trained model to audit, too, on the posts that it was not trained on.
        unlabelled: posts to put in the order in which to label them, by ``predictor`` or else a probe; with ``out``,
            it is written to ``label_next.csv``.
        force: replace an earlier audit.

    Raises:
        PostsError: posts cannot be used, are too few, or have labels that ``predictor`` lacks.
        SettingsError: another target than one label a post.
        OutputError: ``out`` exists, or cannot be written, or a column of the posts is named as an added one.
        MissingExtraError: the extra ``audit``, or what reads the text in images, is not installed.
    """
    filter_ = require("cleanlab.filter", "audit", "an audit")
    if out is not None:
        RunFolder(Path(out), AUDIT_MARK, force=force).refuse()
    classifier = classifier or JointClassifier()
    _check_columns(posts, (*SUSPICION, *LEAK))
    _check_columns(unlabelled or Posts([]), PRIORITY)
    if predictor is not None:
        _check_model(predictor, posts)
    judged = judge_out_of_fold(posts, classifier)
    policy, problems = classifier.on_bad_image, judged.problems
    errors = filter_.find_label_issues(judged.labels, judged.answers, n_jobs=1)
    found = Audit(
        judged,
        suspicions(judged.labels, judged.answers),
        int(np.sum(errors)),
        judged.target.texts(judged.answers.argmax(1)),
        near_duplicates([post.whole_text for post in judged.posts], map(judged.image, range(len(judged.posts)))),
        _conflicts(judged),
        slices(members(judged.posts), judged.right, judged.answers.max(1)),
        named_labels(judged.posts, judged.target.labels) if classifier.read_image_text else None,
        model_findings(predictor, judged.posts, classifier.seed, policy, problems) if predictor else None,
        label_next(predictor or judged.predictor, unlabelled, policy, problems) if unlabelled else [],
    )
    if out is not None:
        _write(found, Path(out))
    return found


def suspicions(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Return how likely each label is to be wrong, float [N], from 0 to 1: the probability that it lacks.

    On MVSA with flipped labels, this ranks them better than the margin between the labels, or the entropy.

    Args:
        labels: class numbers, int [N].
        answers: probabilities that were not learned from these posts, float [N, L].
    """
    rank = require("cleanlab.rank", "audit", "an audit")
    return 1 - np.asarray(
        rank.get_label_quality_scores(labels, answers, method="self_confidence", adjust_pred_probs=False)
    )


def _check_columns(posts: Posts, added: Sequence[str]) -> None:
    columns = {name for post in posts[:1] for name in post.fields}
    if clash := sorted(columns.intersection(added)):
        raise OutputError(f"the posts have a column {clash[0]!r} already, which an audit adds", "rename it first")


def _check_model(predictor: Predictor, posts: Posts) -> None:
    """Check that a model answers what the posts are labelled with."""
    if not predictor.target.each_one_label:
        raise SettingsError(
            f"{setting('target', predictor.target.name)}: models are audited whose answers are one label a post",
            "leave this one out",
        )
    labelled = (post for post in posts if post.problem is None and post.label is not None)
    predictor.target.encode(Posts(labelled, posts.name))


def _conflicts(judged: Judged) -> list[Conflict]:
    """Return posts of which text alone and image alone give other labels, the surest first."""
    names = [name for name in ("text", "image") if name in judged.alone]
    if len(names) < 2:
        return []
    found = []
    best = {name: judged.alone[name].argmax(1) for name in names}
    labels, together = judged.target.labels, judged.answers.argmax(1)
    having = ~np.isnan(judged.alone["text"][:, 0]) & ~np.isnan(judged.alone["image"][:, 0])
    for post in np.flatnonzero(having & (best["text"] != best["image"])).tolist():
        says = {name: (labels[best[name][post]], float(judged.alone[name][post].max())) for name in names}
        found.append(Conflict(post, says, labels[together[post]]))
    return sorted(found, key=lambda conflict: -conflict.strength)


def _write(found: Audit, out: Path) -> None:
    from jointune.audit.audit_page import audit_page

    posts = found.judged.posts
    columns = list(dict.fromkeys(name for post in posts for name in post.fields))
    with atomic_folder(out) as folder:
        order = np.argsort(-found.suspicion, kind="stable").tolist()
        _table(
            folder / "suspicion.csv",
            [*columns, *SUSPICION],
            (
                {**posts[i].fields, "suspicion": f"{found.suspicion[i]:.4f}", "suggested_label": found.suggested[i]}
                for i in order
            ),
        )
        _table(folder / "leaks.csv", [*columns, *LEAK], _leak_rows(found))
        if found.next:
            columns = list(dict.fromkeys(name for one in found.next for name in one.post.fields))
            _table(
                folder / "label_next.csv",
                [*columns, *PRIORITY],
                (
                    {**one.post.fields, **dict(zip(PRIORITY, (place, one.answer, f"{one.margin:.4f}"), strict=True))}
                    for place, one in enumerate(found.next, 1)
                ),
            )
        (folder / AUDIT_MARK).write_text(audit_page(found), encoding="utf-8")


def _leak_rows(found: Audit) -> Iterable[dict[str, Any]]:
    """Yield a row for each side of each leak, with the place and the split of the other one."""
    posts = found.judged.posts
    for pair in found.leaks:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            values = (posts[other].where, posts[other].split or "", pair.shared, f"{pair.likeness:.3f}")
            yield {**posts[one].fields, **dict(zip(LEAK, values, strict=True))}


def _table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with open_writer(path, text_layout(path, columns)) as writer:
        for row in rows:
            writer.write({name: row.get(name) for name in columns})
