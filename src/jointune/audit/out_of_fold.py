"""Answers for each post by linear probes that did not learn from it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from jointune.classifier import JointClassifier
from jointune.data.divide import Division
from jointune.data.folds import make_folds
from jointune.data.post import Posts
from jointune.data.problems import Problem
from jointune.data.split import identity_groups
from jointune.errors import SettingsError, setting
from jointune.inference.predictor import Predictor
from jointune.inference.torch_backend import TorchBackend
from jointune.model import chosen_precision, make_model
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target
from jointune.training.embeddings import EmbeddingCache
from jointune.training.fit import load_modalities, prepare, seeded
from jointune.training.probe import fit_probe, frozen_features, start_from
from jointune.training.training_set import TrainingSet
from jointune.utils.progress import progress_bar

FOLDS = 5


@dataclass(frozen=True)
class Judged:
    """Posts with answers that were not learned from them.

    Attributes:
        posts: those that can be used.
        rows: the same, as the encoders take them.
        target: of the posts.
        labels: class numbers, int64 [N].
        answers: probabilities, float64 [N, L].
        alone: by modality, the probabilities if all others are hidden; NaN for posts that lack it.
        problems: posts that were skipped, or are used without their image.
        predictor: the last of the probes with its encoders.
    """

    posts: Posts
    rows: TrainingSet
    target: Target
    labels: np.ndarray
    answers: np.ndarray
    alone: Mapping[str, np.ndarray]
    problems: list[Problem]
    predictor: Predictor

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is that of the label, bool [N]."""
        return np.asarray(self.answers.argmax(1) == self.labels)

    def image(self, post: int) -> np.ndarray | None:
        """Return the pixels of a post's first image, cropped at the centre, uint8 [H, W, 3]; None if it has none."""
        row: Any = self.rows.rows["image"].row(post)
        return None if row is None else row[0].pixels


def judge_out_of_fold(posts: Posts, classifier: JointClassifier) -> Judged:
    """Run the frozen encoders once over all posts, and fit a linear probe on each four of five folds.

    Posts that share an image or a text are in the same fold.

    Args:
        posts: labelled, with one label each; their split does not count.
        classifier: its settings name encoders, seed and device.

    Raises:
        PostsError: posts cannot be used, or are too few for five folds.
        SettingsError: another target than one label a post.
        EncoderError: an encoder cannot be loaded.
    """
    config = classifier.validated()
    target = chosen_target(vars(config))
    if not target.each_one_label:
        raise SettingsError(
            f"{setting('target', target.name)}: labels are audited where each post has one",
            "leave it out",
            setting="target",
        )
    first = Posts([replace(posts[0], group=None)] if posts else [], posts.name, posts.label_dtype)
    with seeded(config.seed):
        modalities = load_modalities(config)
        division = Division(posts, first, Posts([]), None, (), target)
        prepared = prepare(division, config, modalities, config.progress)
        kept, target, rows = prepared.posts[0], prepared.target, prepared.training
        folds = make_folds(kept, FOLDS, identity_groups(kept), config.seed, target)
        model = make_model(
            {name: loaded.encoder for name, loaded in prepared.modalities.items()},
            config.fusion,
            target.outputs,
            probe=True,
        )
        device = torch.device(config.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        model.to(device).eval()
        pretrained = all(encoder.pretrained for encoder in model.each_encoder())
        precision = chosen_precision(device, config.precision)
        cache = EmbeddingCache(prepared.modalities, precision) if pretrained else None
        with progress_bar("running the encoders", "posts", config.progress) as bar:
            features = frozen_features(model, rows, np.arange(len(kept)), config, device, cache, bar)
    widths = {name: encoder.widths for name, encoder in zip(model.encoders, model.each_encoder(), strict=True)}
    owner = np.repeat(list(widths), [sum(own) for own in widths.values()])
    answers = np.zeros((len(kept), len(target.labels)))
    alone = {name: np.full_like(answers, np.nan) for name in widths}
    with progress_bar("fitting probes", "folds", config.progress) as bar:
        bar.start(len(folds))
        for fold in folds:
            learned, held, tested = (np.array(part) for part in (fold.train, fold.validation, fold.test))
            probe = fit_probe(
                features[learned], rows.labels[learned], features[held], rows.labels[held], widths, target
            )
            answers[tested] = target.activate(probe.logits(features[tested]))
            for name, own in alone.items():
                shown = np.where(owner == name, features[tested], np.nan)
                having = ~np.isnan(shown).all(1)
                own[tested[having]] = target.activate(probe.logits(shown[having]))
            bar.advance()
    start_from(model, probe)
    backend = TorchBackend(model, target, device, config.precision)
    preprocessors = {name: loaded.preprocessor for name, loaded in prepared.modalities.items()}
    last = Predictor(target, backend, preprocessors, vectors=backend.vectors)
    return Judged(kept, rows, target, rows.labels, answers, alone, prepared.problems, last)
