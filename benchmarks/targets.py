"""Whether a target gains what it is for: python benchmarks/targets.py POSTS --order LABEL,... --two COLUMN,COLUMN.

In folds of all posts: the quadratic kappa of the target ``ordered`` beside that of ``single``, on the same labels; and
the macro F1 of the target ``multi`` on two columns of labels at once, beside two trainings of ``single``, one for each
column. Differences are tested over the folds (Nadeau and Bengio, 2003).
"""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from results import circumstances, parser, save, show
from sklearn.metrics import cohen_kappa_score, f1_score

from jointune import JointClassifier, Posts, read_posts
from jointune.data.folds import Fold, make_folds
from jointune.data.split import identity_groups
from jointune.evaluation.significance import corrected_resampled_test


def predictions(posts: Posts, labels: Sequence[Any], fold: Fold, options: Namespace, **settings: Any) -> list[Any]:
    """Train on a fold with these labels of all posts, and return what is predicted for its test posts."""
    classifier = JointClassifier.from_preset(options.preset, keep_vectors=0, progress=False, **settings)
    learned, chosen_on = (
        [{"text": posts[n].text, "image": posts[n].image, "label": labels[n]} for n in part]
        for part in (fold.train, fold.validation)
    )
    return list(classifier.fit(learned, validation=chosen_on).predict(posts.take(fold.test)))


def kappas(posts: Posts, fold: Fold, options: Namespace) -> list[float]:
    """Return the quadratic kappa of ``ordered`` and of ``single``."""
    order = options.order.split(",")
    labels = [post.label for post in posts]
    truth = [order.index(labels[n]) for n in fold.test]
    found = []
    for settings in ({"target": "ordered", "label_order": order}, {}):
        said = [order.index(label) for label in predictions(posts, labels, fold, options, **settings)]
        found.append(float(cohen_kappa_score(truth, said, weights="quadratic")))
    return found


def macro_f1s(posts: Posts, columns: dict[str, list[str]], fold: Fold, options: Namespace) -> list[float]:
    """Return the macro F1 over the labels of all columns, of one ``multi`` training and of one training a column."""
    named = [[f"{column} {label}" for label in labels] for column, labels in columns.items()]
    together = [list(of_post) for of_post in zip(*named, strict=True)]
    names = sorted({label for labels in named for label in labels})

    def score(said: Sequence[Sequence[str]]) -> float:
        truth, answers = (
            np.array([[name in own for name in names] for own in rows])
            for rows in ([together[n] for n in fold.test], said)
        )
        return float(f1_score(truth, answers, average="macro", zero_division=0))

    at_once = predictions(posts, together, fold, options, target="multi")
    apart = [predictions(posts, labels, fold, options) for labels in named]
    return [score(at_once), score(list(zip(*apart, strict=True)))]


def main(options: Namespace) -> None:
    """Measure and print, after each fold."""
    posts = read_posts(options.posts)
    columns = {
        name: [post.label for post in read_posts(options.posts, label_column=name)] for name in options.two.split(",")
    }
    folds = make_folds(posts, options.folds, identity_groups(posts), 0)
    result: dict[str, Any] = {"circumstances": circumstances(), "preset": options.preset, "kappa": [], "macro_f1": []}
    for fold in folds:
        result["kappa"].append(kappas(posts, fold, options))
        result["macro_f1"].append(macro_f1s(posts, columns, fold, options))
        save(options.out, result)
    rows = []
    for name, first, second in (("kappa", "ordered", "single"), ("macro_f1", "multi", "one for each column")):
        scores = np.array(result[name])
        lead = scores[:, 0] - scores[:, 1]
        p_value = corrected_resampled_test(lead, 1 / (options.folds - 1))
        means = [f"{mean:.3f}" for mean in scores.mean(0)]
        rows.append([f"{name}: {first}, {second}", *means, f"{lead.mean():+.3f}", f"{p_value:.3f}"])
    show(["score", "first", "second", "difference", "p"], rows)


if __name__ == "__main__":
    arguments = parser(__doc__, "targets")
    arguments.add_argument("posts")
    arguments.add_argument("--order", required=True, help="the labels, the lowest first")
    arguments.add_argument("--two", required=True, help="two columns of labels")
    arguments.add_argument("--preset", default="fast", help="settings of training (default: fast, the probe alone)")
    arguments.add_argument("--folds", type=int, default=5, help="(default: 5)")
    main(arguments.parse_args())
