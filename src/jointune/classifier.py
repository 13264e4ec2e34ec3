"""JointClassifier: the face of the library."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from jointune import __version__
from jointune.config import METRICS, SETTINGS, Config, check_settings, check_types, document_settings, plain
from jointune.data.divide import divide
from jointune.data.fingerprints import LearnedPosts, posts_digest
from jointune.data.label_checks import check_parts, class_numbers
from jointune.data.labels import UNSURE, order_labels, several_labels, typed_label
from jointune.data.post import Post, Posts
from jointune.data.problems import OnBadImage, Problem, raise_problems
from jointune.data.read import Columns, label_text
from jointune.data.records import as_posts
from jointune.data.split import split_posts
from jointune.encoders.encoder import Encoder
from jointune.encoders.hidden_states import spread_depths
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.layers import compiled_layers, recompute_layers
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.encoders.lora import add_lora
from jointune.encoders.text_encoder import TextEncoder
from jointune.encoders.text_preprocessing import check_pairs
from jointune.errors import BundleError, JointuneWarning, SettingsError, setting
from jointune.evaluation.calibration import at_temperature, calibrate, least_confidence, presence
from jointune.evaluation.metrics import Metrics, compute_metrics, standard_error
from jointune.evaluation.notes import notes_on_answers, notes_on_few, notes_on_known
from jointune.fusion.registry import FusionFactory
from jointune.inference.evaluate import evaluate_predictor
from jointune.inference.predictor import Predictor, Scored
from jointune.modalities.batch import Batch
from jointune.modalities.check import check_posts
from jointune.modalities.image import ocr
from jointune.modalities.image.cache import open_store
from jointune.modalities.image.image_text import read_with_bar
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.image.store import ImageStore, store_images, stored_digests
from jointune.modalities.text.normalise import valid_kinds
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.modalities.text.tokens import TextPreprocessor, encode_posts
from jointune.model import JointModel, make_model
from jointune.persistence.bundle import Bundle, load_bundle, save_bundle
from jointune.persistence.manifest import clear_build_errors
from jointune.training.checkpoint import Checkpoints
from jointune.training.forward import chosen_precision, probabilities
from jointune.training.frozen_cache import run_frozen_layers
from jointune.training.probe import start_from_probe
from jointune.training.tracking import loggable
from jointune.training.trainer import Validation, fine_tune
from jointune.training.training_set import TrainingSet
from jointune.utils.cache_dir import cache_limit
from jointune.utils.files import remove_leftovers
from jointune.utils.progress import Bar, progress_bar
from jointune.utils.run_folder import locking
from jointune.utils.wording import listed

_FOR_TRAINING = ("image_encoder", "lora", "track", "read_image_text")
"""Settings that may need a package which a trained model, or one that gets no images, does without."""


@document_settings
class JointClassifier(ClassifierMixin, Config, BaseEstimator):
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
        calibration_: ``Calibration`` on the validation posts, as a dictionary.
        test_metrics_: ``Metrics`` on the test posts, where ``fit`` was given some.
        trained_parameters_: number of weights that training could change.
        is_main_process_: whether this process is the one that should save, where several train together.
        learned_: ``LearnedPosts``, by which ``evaluate`` knows training and validation posts again; None where a loaded
            bundle does not say.
        problems_: posts that ``on_bad_image`` skipped or stripped of their picture.
        notes_: what to know before the classifier is trusted, one sentence each; also given as ``JointuneWarning``.
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
    ) -> "JointClassifier":
        """Fine-tune on labelled posts.

        Args:
            posts: ``Posts``, a path, a list of mappings with ``text``, ``image`` and ``label``, or a data frame; other
                names of these columns are settings.
            labels: one a post, in place of the posts' own. Texts, numbers or booleans: predictions are of their type.
            validation: posts to choose between weights on, or a fraction of ``posts`` for that; the fraction is
                stratified and shares no picture and no text with the rest. By default, posts that carry a split
                (``train``, ``validation`` or ``test``) are divided by it, and a tenth of others is held out.
            test: posts that take no part in training, scored once at its end; by default those that are marked so,
                where the split that posts carry divides them.
            checkpoint: folder for the state of the run, kept up to date so that it can be resumed.
            resume: go on from ``checkpoint``; the result is that of an uninterrupted run.

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
        self.notes_: list[str] = []
        config, kinds = self.validated(), valid_kinds(self.normalise)
        cache_limit()
        if self.read_image_text:
            ocr.load_ocr()
        posts = self._posts(posts, labels, labelled=True)
        division = divide(posts, validation, test, self.columns())
        label_dtype = posts.label_dtype
        posts, held, tested, fraction = division.training, division.validation, division.test, division.fraction
        check_parts(posts, held if fraction is None else None, tested)
        self._note(*division.notes)
        if note := several_labels(Counter(post.label for post in posts if post.label is not None)):
            self._note(note)
        # These pictures are opened again after training; one that cannot be would then cost all of it.
        raise_problems(list(check_posts(tested, self.on_bad_image)), tested.name)

        # In a post without a text the text encoder gets no gradient, so that processes differ in what they use.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator = Accelerator(
            log_with=self.track, project_dir="." if self.track else None, kwargs_handlers=[unused]
        )
        self.is_main_process_ = accelerator.is_main_process
        shown = self.progress and accelerator.is_main_process
        if self.track:
            accelerator.init_trackers("jointune", config=loggable(self.get_params()))
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            (text_encoder, text, text_description), (image_encoder, image, image_description) = self._encoders(kinds)
            merges = self._choose_what_is_trained(text_encoder, image_encoder)
            store = open_store(image)
            with progress_bar("reading pictures", "pictures", shown) as bar:
                posts, places, self.problems_ = store_images(posts, image, store, self.on_bad_image, bar)
                held, held_places, more = store_images(held, image, store, self.on_bad_image, bar)
                self.problems_ += more
            if self.read_image_text:
                # Those of the test posts too: what fails only after training costs all of it.
                parts = (Posts(read_with_bar(part, shown), part.name) for part in (posts, held, tested))
                posts, held, tested = parts
            check_parts(posts, held if fraction is None else None, tested)
            if fraction is not None:
                learned, checked = split_posts(posts, fraction, self.seed)
                posts, held = posts.take(learned), posts.take(checked)
                places, held_places = [places[i] for i in learned], [places[i] for i in checked]

            self._name_classes(order_labels((str(post.label) for post in posts), label_dtype), label_dtype)
            self.data_ = {"training": _counts(posts), "validation": _counts(held)}
            if tested:
                self.data_["test"] = _counts(tested)
            self._note(*self._notes_on_few())
            training = self._arrays(posts, places, store, text, image)
            self.text_fit_ = self._look_at_texts(training, posts, text)
            checking = self._arrays(held, held_places, store, text, image)
            model = make_model(text_encoder, image_encoder, self.fusion, len(self.classes_), self.probe)
            weights = self._class_weights(training.labels)

            def start(untrained: JointModel) -> None:
                start_from_probe(untrained, training, checking, config, accelerator.device, weights)

            if self.train_layers is not None and config.epochs and model.takes_states:
                with progress_bar("running the frozen layers", "posts", shown) as bar:
                    self._run_frozen_layers(model, training, checking, config, accelerator.device, bar)
            compiled = (text_encoder.model, image_encoder.model) if self.compile_layers else ()
            with compiled_layers(compiled), progress_bar("training", "steps", shown) as bar:
                self.log_ = fine_tune(
                    model,
                    training,
                    lambda current: self._validate(current, checking, accelerator.device),
                    config,
                    accelerator,
                    weights,
                    self._checkpoints(Path(checkpoint), posts, held, accelerator) if checkpoint else None,
                    resume,
                    start if self.probe else None,
                    bar,
                    began,
                )
            if self.track:
                accelerator.end_training()

        self.trained_parameters_ = self._trained_parameters(model, training)
        for merge in merges:
            merge()
        for encoder, description in ((text_encoder, text_description), (image_encoder, image_description)):
            description["depths"] = encoder.depths.numbers if encoder.depths else []
        self._adopt(model, text, image, {"text": text_description, "image": image_description}, accelerator.device)
        seen, seen_held = stored_digests(posts, places, store), stored_digests(held, held_places, store)
        self.learned_: LearnedPosts | None = LearnedPosts.of(seen, seen_held)
        self._note(*self._calibrate(checking, LearnedPosts.of(seen, ()).known_digests(seen_held)))
        self.test_metrics_ = None
        if tested:
            found = self.problems_
            notes: list[str] = []
            self.test_metrics_ = self._evaluate(tested, "test", notes)
            self._note(*notes)
            self.problems_ = found + self.problems_
        return self

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Probabilities, float32 [N, C], columns in the order of ``classes_``.

        One thread at a time: the model is changed while it runs, to look at its lower layers. Several need a lock, or a
        classifier each; ``jointune serve`` scores the posts of all its clients in one thread.

        Args:
            posts: as for ``fit``; labels are not needed.

        Raises:
            PostsError: a post cannot be used. (With ``on_bad_image="missing"`` a bad picture counts as none; ``"skip"``
                is for streams and stops here, since every post needs its row.)
        """
        posts = self._fitted()._posts(posts)
        policy: OnBadImage = "missing" if self.on_bad_image == "missing" else "error"
        self.problems_ = []
        rows = [scored.probabilities for scored in self.score_stream(posts, policy, self.problems_, posts.name)]
        return np.stack(rows) if rows else np.zeros((0, len(self._fitted().classes_)), dtype=np.float32)

    def predict(self, posts: Any, abstain: float | None = None) -> np.ndarray:
        """The most probable label of each post, of the type of ``classes_`` [N].

        Args:
            posts: as for ``predict_proba``.
            abstain: the accuracy wanted of the answers: posts whose confidence was too low for that on the validation
                posts are answered ``unsure``, and the answers are objects.

        Raises:
            PostsError: a post cannot be used.
            SettingsError: no confidence reaches that accuracy.
        """
        classes = self._fitted().classes_
        if abstain is None:
            return classes[self.predict_proba(posts).argmax(1)]
        if isinstance(abstain, bool) or not isinstance(abstain, int | float | np.number):
            raise SettingsError(f"abstain={abstain!r}: give a number", setting="abstain")
        least = least_confidence(self.calibration_, abstain, self._class_names)
        scores = self.predict_proba(posts)
        return np.where(scores.max(1) >= least, classes.astype(object)[scores.argmax(1)], UNSURE)

    def score_stream(
        self,
        posts: Iterable[Post],
        on_bad_image: OnBadImage = "error",
        problems: list[Problem] | None = None,
        name: str = "posts",
    ) -> Iterator[Scored]:
        """Score any number of posts in bounded memory; see ``jointune.inference.predictor.score_posts``."""
        return self.predictor().stream(posts, on_bad_image, problems, name, self.batch_size, self.progress)

    def predictor(self) -> Predictor:
        """The trained model with its preprocessing, as batch scoring and the service use it."""
        model = self._fitted().model_

        def run(batches: Iterable[Batch], count: int) -> np.ndarray:
            return probabilities(model, batches, count, self._device)

        bundle = self._bundle()
        return Predictor(
            self._class_names,
            run,
            self.text_,
            self.image_,
            self.read_image_text,
            bundle.about(),
            bundle.card(),
            learned=self.learned_,
        )

    def evaluate(self, posts: Any, labels: Any = None) -> Metrics:
        """Score the classifier on labelled posts.

        A ``JointuneWarning`` says how many of them it was trained or validated on, and whether one label gets the
        answers that others should.

        Raises:
            PostsError: a post cannot be used, has no label, or has one that was not in training.
        """
        return self._evaluate(self._fitted()._posts(posts, labels, labelled=True))

    def score(self, posts: Any, labels: Any = None, sample_weight: None = None) -> float:
        """Accuracy, for scikit-learn's tools.

        Raises:
            SettingsError: there is a ``sample_weight``, of which nothing is made.
        """
        if sample_weight is not None:
            raise SettingsError("sample_weight: posts are not weighted", "leave it out", setting="sample_weight")
        return self.evaluate(posts, labels).accuracy

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
        from jointune.utils.hub import local_folder

        target = _usable_device(device)
        bundle = load_bundle(local_folder(path), fusion)
        with clear_build_errors(Path(path), "bundle"):
            # What only training needs may not be installed here.
            settings = bundle.settings | {"fusion": fusion or bundle.fusion, "device": device, "track": None}
            if unknown := [name for name in settings if name not in SETTINGS]:
                raise BundleError(
                    f"{path} has settings that jointune {__version__} does not know: {listed(unknown, len(unknown))}",
                    "it was written by another version: use that one, or train it anew",
                )
            check_types(settings)
            check_settings({name: value for name, value in settings.items() if name not in _FOR_TRAINING})
            made = cls(**settings)
            made._name_classes(bundle.labels, bundle.label_dtype)
        made.data_, made.log_, made.notes_ = bundle.data, bundle.log, bundle.notes
        made.text_fit_ = bundle.text_fit
        made.loaded_metrics_, made.calibration_, made.learned_ = bundle.metrics, bundle.calibration, bundle.learned
        made._adopt(bundle.model, bundle.text, bundle.image, bundle.encoders, target)
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

    def columns(self) -> Columns:
        """Which column of data frames, mappings and files holds what."""
        return Columns(self.text_column, self.image_column, self.label_column, "split")

    def _note(self, *notes: str) -> None:
        """Keep notes for the bundle and its card, and give each as a warning."""
        self.notes_ += notes
        for note in notes:
            warnings.warn(note, JointuneWarning, stacklevel=4)  # fit is decorated

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False  # posts are no matrix of numbers
        tags.input_tags.dict = tags.input_tags.string = tags.input_tags.allow_nan = True
        tags.target_tags.required = False  # posts may hold their labels
        return tags

    def _posts(self, posts: Any, labels: Any = None, labelled: bool = False) -> Posts:
        """What the user gave, read by the settings that name columns."""
        return as_posts(posts, labels, self.columns(), labelled)

    def _name_classes(self, names: list[str], dtype: str | None) -> None:
        """Set ``classes_``; scoring, bundles and messages know the classes by their texts."""
        self._class_names, self._label_dtype = names, dtype
        self.classes_ = np.array([typed_label(name, dtype) for name in names], dtype=dtype or object)

    def _fitted(self) -> "JointClassifier":
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this JointClassifier is not trained: call fit, or JointClassifier.load")
        return self

    def _adopt(
        self,
        model: JointModel,
        text: TextPreprocessor,
        image: ImagePreprocessor,
        encoders: dict[str, dict[str, Any]],
        device: torch.device,
    ) -> None:
        self.model_, self.text_, self.image_, self.encoders_ = model.to(device).eval(), text, image, encoders
        self._device = device

    def _bundle(self) -> Bundle:
        self._fitted()
        settings = self.get_params()
        fusion = settings["fusion"]
        if not isinstance(fusion, str):
            # A factory that only gives a fusion of jointune's own another start is not needed to read the bundle.
            built_in = getattr(fusion, "built_in", None)
            name = getattr(fusion, "__name__", type(fusion).__name__)
            fusion = built_in(self.model_.fusion) if built_in else f"custom:{name}"
        # Where a bundle was trained is no concern of whoever loads it.
        settings |= {"fusion": fusion, "device": None, "track": None}
        settings = {name: plain(value) for name, value in settings.items()}
        if hasattr(self, "metrics_"):
            parts = {"validation": self.metrics_, "test": self.test_metrics_}
            metrics = {part: scores.to_dict() for part, scores in parts.items() if scores is not None}
        else:
            metrics = self.loaded_metrics_
        return Bundle(
            self.model_,
            self.text_,
            self.image_,
            self._class_names,
            self.encoders_,
            fusion,
            settings,
            self.data_,
            metrics,
            self.log_,
            self.calibration_,
            self.notes_,
            self._label_dtype,
            self.learned_,
            self.text_fit_,
        )

    def _encoders(
        self, kinds: tuple[str, ...]
    ) -> tuple[
        tuple[TextEncoder, TextPreprocessor, dict[str, Any]], tuple[ImageEncoder, ImagePreprocessor, dict[str, Any]]
    ]:
        """Both encoders, each with what prepares its input and what a bundle tells of it."""
        text_encoder, text, text_description = load_text_encoder(self.text_encoder, self.max_tokens)
        image_encoder, image, image_description = load_image_encoder(self.image_encoder)
        for description in (text_description, image_description):
            self.notes_ += description.pop("notes")
        if self.read_image_text:
            check_pairs(text_encoder, text, self.text_encoder)
        if not self.image_margin:
            image = image.without_margin()
        return (text_encoder, replace(text, normalise=kinds), text_description), (
            image_encoder,
            image,
            image_description,
        )

    def _choose_what_is_trained(self, *encoders: Encoder) -> list[Callable[[], None]]:
        """Which weights of the encoders, and how; what makes them plain weights again after training."""
        merges = []
        for encoder in encoders:
            if self.train_layers is not None:
                encoder.freeze_lower(self.train_layers)
            if self.probe:
                encoder.look_below(spread_depths(encoder.model, self.probe_depths - 1))
            if self.lora is not None and (merge := add_lora(encoder.model, self.lora)):
                merges.append(merge)
            if self.gradient_checkpointing:
                recompute_layers(encoder.model)
        if self.lora is not None and not merges:
            raise SettingsError(
                f"{setting('lora', self.lora)}: no layer that would be trained is linear",
                "do without it",
                setting="lora",
            )
        return merges

    def _arrays(
        self,
        posts: Posts,
        places: list[int | None],
        store: ImageStore,
        text: TextPreprocessor,
        image: ImagePreprocessor,
    ) -> TrainingSet:
        tokens = encode_posts(posts, text, self.read_image_text)
        hidden = {}
        if self.read_image_text:
            # A post that loses a modality for a step is what `without` makes of it.
            hidden["tokens_without_image"] = encode_posts(posts.without("image"), text)
            hidden["tokens_without_text"] = encode_posts(posts.without("text"), text, True)
        return TrainingSet(tokens, places, store, class_numbers(posts, self._class_names), text, image, **hidden)

    def _look_at_texts(self, training: TrainingSet, posts: Posts, text: TextPreprocessor) -> dict[str, Any] | None:
        """See how the texts fit the text encoder, and note it where many do not."""
        counter = TextFitCounter(text)
        counter.add(training.tokens, posts)
        fit = counter.result()
        for note in fit.notes(self.text_encoder):
            self._note(note)
        return fit.to_dict()

    def _run_frozen_layers(
        self,
        model: JointModel,
        training: TrainingSet,
        checking: TrainingSet,
        config: Config,
        device: torch.device,
        bar: Bar,
    ) -> None:
        """Compute once what training would otherwise compute in each epoch."""
        model.to(device)
        run_frozen_layers(model, checking, config, device, bar)
        # Texts vary with what is hidden where pictures are read too, and pictures with their random crops.
        plain, image = not self.read_image_text, training.image
        uncropped = not config.augment or image.size == image.resize
        run_frozen_layers(model, training, config, device, bar, plain, uncropped, mirrored=config.augment)

    def _calibrate(self, checking: TrainingSet, known: np.ndarray) -> list[str]:
        """Fit the temperature on the validation posts, and score them with it.

        Args:
            checking: the validation posts.
            known: ``Known`` of each from training, int [N].

        Returns:
            What to know before the scores are trusted.
        """
        # They were kept in the precision of training, which is not that of predictions.
        checking.text_below = checking.image_below = None
        scores = probabilities(self.model_, checking.in_order(self.batch_size), len(checking), self._device)
        held = [
            presence(tokens is not None, place is not None)
            for tokens, place in zip(checking.tokens, checking.places, strict=True)
        ]
        calibration = calibrate(scores, checking.labels, held)
        self.model_.temperature.fill_(calibration.temperature)
        self.calibration_: dict[str, Any] | None = calibration.to_dict()
        scores = at_temperature(scores, calibration.temperature)
        self.metrics_ = compute_metrics(checking.labels, scores, self._class_names)

        labels = self._class_names
        answers = notes_on_answers(self.metrics_, "validation")
        return answers + notes_on_known(known, checking.labels, scores, labels, "validation")

    def _notes_on_few(self) -> list[str]:
        """What is left open where validation or test posts are few, or lack a label."""
        labels, rests = self._class_names, "the choice between weights, the temperature and `abstain` rest on them"
        notes = notes_on_few("validation", self.data_["validation"], labels, rests)
        if "test" in self.data_:
            notes += notes_on_few("test", self.data_["test"], labels)
        return notes

    def _evaluate(self, posts: Posts, part: str = "", notes: list[str] | None = None) -> Metrics:
        self.problems_ = []
        return evaluate_predictor(
            self.predictor(), posts, self.on_bad_image, self.problems_, self.batch_size, self.progress, part, notes
        )

    def _class_weights(self, truth: np.ndarray) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        if self.class_weight == "balanced":
            return len(truth) / (len(self.classes_) * np.bincount(truth, minlength=len(self.classes_)))
        weights = {label_text(label): weight for label, weight in self.class_weight.items()}
        unknown = set(weights) - set(self._class_names)
        if unknown or not all(isinstance(weight, int | float) and 0 <= weight < np.inf for weight in weights.values()):
            raise SettingsError(
                f"class_weight={self.class_weight!r}: give 'balanced', or a weight for labels of the "
                f"posts ({', '.join(self._class_names)})",
                setting="class_weight",
            )
        return np.array([weights.get(label, 1.0) for label in self._class_names])

    def _trained_parameters(self, model: JointModel, training: TrainingSet) -> int:
        """Without epochs, only the probe is; and an encoder is not, whose modality no training post has."""
        trained = ("probe.",) if not self.epochs else ("",)
        unseen = tuple(
            prefix
            for prefix, seen in (("text_encoder.", training.tokens), ("image_encoder.", training.places))
            if all(entry is None for entry in seen)
        )
        return sum(
            parameter.numel()
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and name.startswith(trained) and not name.startswith(unseen)
        )

    def _validate(self, model: JointModel, checking: TrainingSet, device: torch.device) -> Validation:
        scores = probabilities(model, checking.in_order(self.batch_size), len(checking), device, self.precision)
        metrics = compute_metrics(checking.labels, scores, self._class_names)
        logged: dict[str, float] = {name: getattr(metrics, name) for name in METRICS}
        # Small validation parts tie often; the likelihood then tells who is the surer of what is right.
        likelihood = -logged["log_loss"]
        score = (likelihood,) if self.metric == "log_loss" else (logged[self.metric], likelihood)
        error = standard_error(self.metric, metrics, checking.labels, scores)
        return Validation(score, error, logged, chosen_precision(device, self.precision))

    def _checkpoints(self, folder: Path, posts: Posts, held: Posts, accelerator: Accelerator) -> Checkpoints:
        """Where the state of the run is kept, and by what it is known again."""
        if accelerator.is_main_process:
            remove_leftovers(folder)
        settings = loggable(self.get_params())
        for name in ("progress", "track", "device", "text_column", "image_column", "label_column"):
            settings.pop(name)
        digests = {"training posts": posts_digest(posts), "validation posts": posts_digest(held)}
        versions = {"jointune version": __version__, "torch version": str(torch.__version__)}
        fingerprint = settings | digests | versions | {"number of processes": accelerator.num_processes}
        return Checkpoints(folder, fingerprint)


def _counts(posts: Posts) -> dict[str, int]:
    return dict(Counter(str(post.label) for post in posts))


def _usable_device(device: str | None) -> torch.device:
    """The device to predict on; a GPU by default where there is one."""
    try:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as reason:
        first = str(reason).strip().splitlines()[0]
        raise SettingsError(
            f"{setting('device', device)}: it cannot be used here: {first}", "choose another", setting="device"
        ) from reason
    return target
