"""The contract of a modality, and the modalities that there are: adding one is adding a folder and a line here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from jointune.config import Config
from jointune.data.post import Posts
from jointune.data.read import Columns
from jointune.modalities.batch import Input
from jointune.modalities.rows import Rows


@dataclass
class Loaded:
    """A modality that takes part in a training run, or in a bundle.

    Attributes:
        preprocessor: prepares its content; None until it is fitted to training posts.
        encoder: a ``torch.nn.Module``; likewise.
        description: JSON values from which a bundle builds the encoder again, with its ``name`` and ``licence``.
        notes: what to know before the model is trusted.
        merges: turn the updates of LoRA into plain weights after training.
    """

    preprocessor: Any = None
    encoder: Any = None
    description: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    merges: list[Callable[[], None]] = field(default_factory=list)


class Modality:
    """A kind of content that a post may have.

    Attributes:
        name: such as ``text``.
    """

    name: str

    def wanted(self, config: Config) -> bool:
        """Return whether the settings ask for it."""
        return True

    def reads(self, settings: Mapping[str, Any]) -> Sequence[Input]:
        """Return what of a post it reads by the names of columns, as far as the settings tell."""
        return ()

    def load(self, config: Config) -> Loaded:
        """Load what does not depend on posts: pre-trained encoders, before any post is opened."""
        raise NotImplementedError

    def fit(self, loaded: Loaded, config: Config, training: Posts) -> Loaded:
        """Learn from the training posts what the preparation needs; nothing by default."""
        return loaded

    def rows(
        self, preprocessor: Any, posts: Posts, store: Any, places: Sequence[tuple[int, ...]], config: Config
    ) -> Rows:
        """Prepare the posts of a training run.

        Args:
            preprocessor: fitted.
            posts: to prepare.
            store: the images of the run, already prepared.
            places: of each post's images in the store.
            config: the settings.
        """
        return Rows(preprocessor.rows(posts), preprocessor)

    def write(self, folder: Path, preprocessor: Any) -> dict[str, Any] | None:
        """Write the files of the preprocessor into a bundle; return JSON values for what is in none of them."""
        return dict(preprocessor.config())

    def read(self, folder: Path, config: Any, whole: str) -> Any:
        """Read the preprocessor of a bundle or an export again.

        Args:
            folder: of the bundle.
            config: what ``write`` returned.
            whole: what the folder is, for messages.

        Raises:
            BundleError: the description is damaged.
        """
        raise NotImplementedError

    def build(self, description: Mapping[str, Any], preprocessor: Any) -> Any:
        """Build the encoder of a bundle again, without its weights."""
        raise NotImplementedError


MODALITIES = ("text", "image", "fields", "audio")
"""Each is the name of a folder here."""


def modality(name: str) -> Modality:
    """Return a modality by name."""
    found: Modality = import_module(f"jointune.modalities.{name}.modality").MODALITY
    return found


def with_further_columns(use: Columns, settings: Mapping[str, Any]) -> Columns:
    """Return the columns of texts and images with those that other modalities read by these settings."""
    read = [one for name in MODALITIES for one in modality(name).reads(settings)]
    fields = tuple(name for name, kind, _ in read if kind in ("number", "category"))
    return replace(use, fields=fields, files=tuple(name for name, kind, _ in read if kind == "file"))


def wanted(config: Config) -> Sequence[Modality]:
    """Return the modalities that the settings ask for, in the order of ``Batch.present``."""
    return [one for one in map(modality, MODALITIES) if one.wanted(config)]
