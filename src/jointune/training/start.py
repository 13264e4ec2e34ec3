"""A trained model that training goes on from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jointune.data.labels import order_labels
from jointune.errors import SettingsError, setting
from jointune.evaluation.score_table import ScoreTable
from jointune.inference.torch_backend import TorchBackend
from jointune.modalities.batch import Preprocessors
from jointune.modalities.modality import Loaded
from jointune.model import JointModel
from jointune.persistence.bundle import load_bundle
from jointune.targets.target import Target
from jointune.training.training_set import TrainingSet
from jointune.utils.files import MANIFEST, sha256
from jointune.utils.hub import local_folder
from jointune.utils.wording import listed


@dataclass(frozen=True)
class Start:
    """A trained model; its encoders become those of the new one.

    Attributes:
        model: with its weights.
        target: what it was asked.
        preprocessors: by modality.
        descriptions: of the encoders, by modality.
        settings: of its classifier.
        label_dtype: see ``Posts``.
        digest: of the bundle's files, by which a resumed run knows it again.
    """

    model: JointModel
    target: Target
    preprocessors: Preprocessors
    descriptions: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    label_dtype: str | None
    digest: str

    @classmethod
    def load(cls, path: str | Path, fusion: Any) -> "Start":
        """Load a bundle.

        Args:
            path: its folder, or a hub id.
            fusion: of the run; a factory of one's own is that of the bundle, too.

        Raises:
            BundleError: it is incomplete, altered, or written by a newer jointune.
        """
        own, folder = None if isinstance(fusion, str) else fusion, local_folder(path)
        one = load_bundle(folder, own)
        settings = one.settings | {"fusion": own or one.fusion}
        digest = sha256(folder / MANIFEST)
        return cls(one.model, one.target, one.preprocessors, one.encoders, settings, one.label_dtype, digest)

    def modalities(self) -> dict[str, Loaded]:
        """Return its encoders and preprocessors as if they were freshly loaded."""
        return {
            name: Loaded(one, self.model.encoders[name], dict(self.descriptions[name]))
            for name, one in self.preprocessors.items()
        }

    def extended(self, target: Target) -> Target:
        """Return the target of new posts with the labels of the model added.

        Raises:
            SettingsError: there are new labels, and the target cannot take any.
        """
        if not self.target.named:
            return self.target  # the unit in which the head answers
        labels = order_labels({*target.labels, *self.target.labels}, self.label_dtype)
        if set(labels) == set(self.target.labels):
            labels = self.target.labels
        elif self.target.outputs != len(self.target.labels):
            new = [label for label in labels if label not in self.target.labels]
            raise SettingsError(
                f"{setting('start')}: the posts have other labels ({listed(new, 5)}), and ordered ones cannot be added",
                "train without a start",
                setting="start",
            )
        return type(target)(labels, target.settings)

    def give_weights(self, model: JointModel, target: Target) -> dict[str, Any]:
        """Give a new model the weights of fusion, head and probe; rows of new labels stay as they were made.

        Args:
            model: with the encoders of this one.
            target: see ``extended``.

        Returns:
            What the training log is to say of it: nothing.
        """
        rows = self._rows(target)
        own, given = model.state_dict(), self.model.state_dict()
        with torch.no_grad():
            for name, weight in own.items():
                if name.startswith("encoders.") or name == "temperature":
                    continue
                if name.startswith(("head.", "probe.linear.")):
                    if name.startswith("probe.linear."):
                        weight.zero_()
                    weight[rows] = given[name].to(weight.device)
                else:
                    weight.copy_(given[name])
        return {}

    def scores(self, target: Target, validation: TrainingSet, batch_size: int, device: torch.device) -> ScoreTable:
        """Score it, as it is before training, on the new validation posts; it gives new labels no probability."""
        run = TorchBackend(self.model.to(device).eval(), self.target, device)
        own = run(validation.in_order(batch_size), len(validation))
        answers = own
        if target.named:
            answers = np.zeros((len(own), len(target.labels)), dtype=own.dtype)
            answers[:, [target.labels.index(label) for label in self.target.labels]] = own
        return target.metrics(validation.labels, answers)

    def _rows(self, target: Target) -> Sequence[int] | slice:
        """Return the places of its logits among the new ones."""
        if self.target.outputs != len(self.target.labels):
            return slice(None)
        return [target.labels.index(label) for label in self.target.labels]
