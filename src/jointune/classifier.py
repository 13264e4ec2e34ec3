"""JointClassifier: the face of the library."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from jointune.config import SETTINGS
from jointune.data.divide import divide
from jointune.data.fingerprints import LearnedPosts
from jointune.data.label_checks import check_parts
from jointune.data.labels import typed_label
from jointune.data.problems import OnBadImage
from jointune.errors import JointuneWarning
from jointune.evaluation.conformal import Conformity
from jointune.evaluation.unlike import TrainingVectors
from jointune.explain.explainer import Explainer
from jointune.explain.explanation import Explanation
from jointune.explain.neighbours import Neighbours
from jointune.fusion.registry import FusionFactory
from jointune.inference.post_classifier import PostClassifier
from jointune.inference.predictor import Predictor
from jointune.inference.torch_backend import TorchBackend, usable_device
from jointune.modalities.image import ocr
from jointune.model import JointModel
from jointune.persistence.bundle import Bundle, load_bundle, save_bundle
from jointune.persistence.manifest import clear_build_errors
from jointune.persistence.stored_settings import checked_settings, stored_settings
from jointune.targets.target import Target
from jointune.training.fit import (
    Prepared,
    Trained,
    checkpoints_of,
    load_modalities,
    notes_on_division,
    prepare,
    seeded,
    train,
)
from jointune.training.start import Start
from jointune.training.start_settings import settings_of_start
from jointune.training.tracking import loggable
from jointune.utils.cache_dir import cache_limit
from jointune.utils.hub import local_folder
from jointune.utils.run_folder import locking


def _document_settings(kind: type["JointClassifier"]) -> type["JointClassifier"]:
    """Describe all settings in the docstring of the class, where it says ``{settings}``."""
    lines = []
    for name, row in SETTINGS.items():
        choices = f" One of {', '.join(f'``{choice}``' for choice in row.choices)}." if row.choices else ""
        lines.append(f"        {name}: {row.help}{choices}")
    described = "\n".join(lines)
    kind.__doc__ = (kind.__doc__ or "").replace("        {settings}", described)
    return kind


@_document_settings
class JointClassifier(PostClassifier):
    """A classifier of posts: a text encoder and an image encoder, fine-tuned jointly with a fusion and a head.

    After de Toledo and Marcacini (2022), arXiv 2210.05790. In scikit-learn's manner: arguments are kept as given,
    ``fit`` learns attributes that end in an underscore, ``clone`` and ``get_params`` work.

    Args:
        {settings}

    Attributes:
        classes_: labels [C], in the order of the probabilities' columns: of the type that ``fit`` was given in Python,
            and texts where the posts came from a file. Numbers are ordered by size.
        model_: the trained ``JointModel``.
        log_: the training log, one entry a validation, with the ``seconds`` since ``fit`` was called.
        metrics_: ``Metrics`` on the validation posts.
        start_metrics_: those of the model that training started from, on the same posts; None without one.
        calibration_: ``Calibration`` on the validation posts, as a dictionary.
        test_metrics_: ``Metrics`` on the test posts, where ``fit`` was given some.
        trained_parameters_: number of weights that training could change.
        is_main_process_: whether this process is the one that should save, where several train together.
        learned_: ``LearnedPosts``, by which ``evaluate`` knows training and validation posts again; None where a loaded
            bundle does not say.
        problems_: posts that ``on_bad_image`` skipped or stripped of their picture.
        notes_: what to know before the classifier is trusted, one sentence each; also given as ``JointuneWarning``.
        conformity_: ``Conformity`` of the validation posts, by which ``predict_set`` makes sets; None where a loaded
            bundle has none.
        training_vectors_: ``TrainingVectors`` that ``unlike`` compares posts with; None where a loaded bundle has none.
        text_fit_: how the training texts fit the text encoder: how many are cut, and the share of unknown words.
    """

    @locking("checkpoint", training=True)
    def fit(
        self,
        posts: Any,
        labels: Any = None,
        *,
        validation: Any = None,
        test: Any = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        accelerator: Accelerator | None = None,
        start: str | Path | None = None,
        replay: Any = None,
    ) -> "JointClassifier":
        """Fine-tune on labelled posts.

        Args:
            posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame; other
                names of these columns are settings.
            labels: one a post, in place of the posts' own. Texts, numbers or booleans: predictions are of their type.
            validation: posts to choose between weights on, or a fraction of ``posts`` for that; the fraction is
                stratified, or the latest where posts have times, and shares no picture, no text and no group with the
                rest; see ``read_posts``. By default, posts that carry a split
                (``train``, ``validation`` or ``test``) are divided by it, and a tenth of others is held out.
            test: posts that take no part in training, scored once at its end, or a fraction of ``posts`` for that; by
                default those that are marked so, where the split that posts carry divides them.
            checkpoint: folder for the state of the run, kept up to date so that it can be resumed.
            resume: go on from ``checkpoint``; the result is that of an uninterrupted run.
            accelerator: places the model on devices; by default one is made, with the tracker of ``track``.
            start: a bundle to go on from. Its architecture is kept: encoders, fusion, probe and the settings that
                belong to them become those of this classifier, unless one is set that contradicts them. So are the
                rows of its labels; posts may have new labels besides.
            replay: older posts, to be learned from beside ``posts``; of posts that carry a split, those for training.

        Returns:
            Itself.

        Raises:
            PostsError: posts that cannot be learned from.
            SettingsError: an argument out of range, or ``JOINTUNE_CACHE_GIB``.
            EncoderError: an encoder that cannot be loaded, or that cannot take in what ``read_image_text`` brings.
            MissingExtraError: a package is needed that is not installed.
            TooLittleMemoryError: the device has too little memory to train on one post, or to run a batch.
            InterruptedTraining: Ctrl-C; with ``checkpoint``, the state was saved first.
        """
        began = time.monotonic()
        origin = Start.load(start, self.fusion) if start is not None else None
        if origin:
            self.set_params(**settings_of_start(self.get_params(), origin.settings, str(start)))
        config = self.validated()
        cache_limit()
        if config.read_image_text:
            ocr.load_ocr()
        data = divide(self.read(posts, labels, labelled=True), validation, test, self.columns(), config.seed)
        if replay is not None:
            data = data.with_older(self.read(replay, labelled=True), config.seed)
        check_parts(data.training, data.validation if data.fraction is None else None, data.test, data.asked)
        self.notes_: list[str] = []
        self._note(*notes_on_division(data))

        own = accelerator is None
        accelerator = accelerator or self._accelerator()
        self.is_main_process_ = accelerator.is_main_process
        shown = config.progress and accelerator.is_main_process
        with seeded(config.seed):
            modalities = load_modalities(config, origin)
            self.notes_ += [note for loaded in modalities.values() for note in loaded.notes]
            prepared = prepare(data, config, modalities, shown, origin)
            self._note(*prepared.notes)
            run = self.get_params() | ({"start": origin.digest} if origin else {})
            state = checkpoints_of(Path(checkpoint), prepared, run, accelerator) if checkpoint else None
            trained = train(prepared, config, accelerator, state, resume, shown, began, origin)
        if own and config.track:
            accelerator.end_training()
        return self._adopt(prepared, trained)

    def explain(
        self, posts: Any, label: Sequence[str] = (), method: str = "occlusion", training: Any = None
    ) -> list[Explanation]:
        """Return why each post is answered as it is: words, regions of images, and how much each modality decided.

        Args:
            posts: as for ``predict_proba``.
            label: labels to explain beside those of each answer.
            method: ``occlusion`` removes each part; ``gradients`` integrates gradients.
            training: posts among which the nearest are found; labels are shown where there are some.

        Raises:
            PostsError: a post cannot be used.
            SettingsError: there is no such label or method.
        """
        predictor = self.predictor()
        near = None if training is None else Neighbours.of(predictor, self.read(training), progress=self.progress)
        explainer = Explainer(predictor, label, method, near)
        policy: OnBadImage = "missing" if self.on_bad_image == "missing" else "error"
        self.problems_ = []
        posts = self.read(posts)
        return list(explainer.explain(posts, policy, self.problems_, posts.name, self.progress))

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write a bundle.

        Args:
            path: its folder, which must not exist.
            force: replace an existing one.

        Raises:
            OutputError: it exists, or cannot be written.
        """
        save_bundle(self._bundle(), Path(path), force)

    @classmethod
    def load(
        cls, path: str | Path, *, fusion: FusionFactory | None = None, device: str | None = None
    ) -> "JointClassifier":
        """Read a bundle; with the network off where ``path`` is a folder.

        Args:
            path: a bundle's folder, or a hub id such as ``name/model``.
            fusion: one's own fusion, where the bundle was trained with one.
            device: such as ``cpu`` or ``cuda:1``; a GPU by default where there is one.

        Raises:
            BundleError: the bundle is incomplete, altered, or written by a newer jointune.
            SettingsError: there is no such device here.
        """
        target = usable_device(device)
        bundle = load_bundle(local_folder(path), fusion)
        with clear_build_errors(Path(path), "bundle"):
            settings = checked_settings(path, bundle, fusion, device)
            made = cls(**settings)
            made._name_classes(bundle.target, bundle.label_dtype)
        made.data_, made.log_, made.notes_ = bundle.data, bundle.log, bundle.notes
        made.text_fit_, made.calibration_, made.learned_ = bundle.text_fit, bundle.calibration, bundle.learned
        made.loaded_metrics_, made.encoders_, made.conformity_ = bundle.metrics, bundle.encoders, bundle.conformity
        made.training_vectors_ = bundle.training_vectors
        made._predict_with(bundle.model.to(target).eval(), bundle.preprocessors, target)
        return made

    def push_to_hub(self, repository: str, private: bool = True, message: str = "Upload a jointune bundle") -> str:
        """Upload the bundle to the Hugging Face hub; its address.

        Args:
            repository: such as ``name/model``; made where it does not exist.
            private: whether a new repository is private.
            message: of the commit.
        """
        from jointune.utils.hub import upload

        return upload(lambda folder: save_bundle(self._bundle(), folder), repository, private, message)

    def _note(self, *notes: str) -> None:
        """Keep notes for the bundle and its card, and give each as a warning."""
        self.notes_ += notes
        for note in notes:
            warnings.warn(note, JointuneWarning, stacklevel=4)  # fit is decorated

    def _name_classes(self, target: Target, dtype: str | None) -> None:
        """Set ``classes_``; scoring, bundles and messages know the classes by their texts."""
        self._target, self._label_dtype = target, dtype
        self.classes_ = np.array([typed_label(name, dtype) for name in target.labels], dtype=dtype or object)

    def _accelerator(self) -> Accelerator:
        # In a post that lacks a modality its encoder gets no gradient, so that processes differ in what they use.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        made = Accelerator(log_with=self.track, project_dir="." if self.track else None, kwargs_handlers=[unused])
        if self.track:
            made.init_trackers("jointune", config=loggable(self.get_params()))
        return made

    def _adopt(self, data: Prepared, trained: Trained) -> "JointClassifier":
        """Take over the outcome of a run, and score the test posts."""
        self._name_classes(trained.target, data.label_dtype)
        self.data_, self.problems_, self.text_fit_ = data.counts, data.problems, data.text_fit
        self.log_, self.trained_parameters_ = trained.log, trained.trained_parameters
        self.metrics_, self.start_metrics_, self.test_metrics_ = trained.metrics, trained.before, None
        self.calibration_: dict[str, Any] | None = trained.calibration.to_dict() if trained.calibration else None
        self.learned_: LearnedPosts | None = trained.learned
        self.conformity_: Conformity | None = trained.conformity
        self.training_vectors_: TrainingVectors | None = trained.vectors
        self.encoders_ = {name: loaded.description for name, loaded in data.modalities.items()}
        self._note(*trained.notes)
        preprocessors = {name: loaded.preprocessor for name, loaded in data.modalities.items()}
        self._predict_with(trained.model, preprocessors, trained.device)
        if data.test:
            problems, notes = self.problems_, list[str]()
            self.test_metrics_ = self._evaluate(data.test, "test", notes)
            self.problems_ = problems + self.problems_
            self._note(*notes)
            self._predict_with(trained.model, preprocessors, trained.device)  # its card now has the test scores
        return self

    def _predict_with(self, model: JointModel, preprocessors: dict[str, Any], device: torch.device) -> None:
        """Build the one predictor from a trained model."""
        self.model_, self.preprocessors_ = model, preprocessors
        target, bundle = self._target, self._bundle()
        backend = TorchBackend(model, target, device)
        about, card, learned = bundle.about(), bundle.card(), self.learned_
        self.predictor_ = Predictor(
            target,
            backend,
            preprocessors,
            about,
            card,
            learned=learned,
            conformity=self.conformity_,
            training_vectors=self.training_vectors_,
            vectors=backend.vectors,
        )

    def _bundle(self) -> Bundle:
        self._fitted()
        fusion, settings = stored_settings(self.get_params(), self.model_.fusion)
        if hasattr(self, "metrics_"):
            parts = {"validation": self.metrics_, "validation_before": self.start_metrics_, "test": self.test_metrics_}
            metrics = {part: scores.to_dict() for part, scores in parts.items() if scores is not None}
        else:
            metrics = self.loaded_metrics_
        model = (self.model_, self.preprocessors_, self._target, self.encoders_, fusion, settings)
        facts = (self.data_, metrics, self.log_, self.calibration_, self.notes_, self._label_dtype, self.learned_)
        values: tuple[Any, ...] = (*model, *facts, self.text_fit_, self.conformity_, self.training_vectors_)
        return Bundle(*values)
