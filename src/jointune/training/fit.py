"""A training run: posts are prepared, the model is trained, and its validation scores are calibrated."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from jointune import __version__
from jointune.config import Config
from jointune.data.divide import Division
from jointune.data.fingerprints import LearnedPosts, digests, posts_digest
from jointune.data.label_checks import check_parts
from jointune.data.post import Posts
from jointune.data.problems import Problem, raise_problems
from jointune.encoders.hidden_states import spread_layers
from jointune.encoders.layers import compiled_layers, recompute_layers
from jointune.encoders.lora import add_lora
from jointune.errors import SettingsError, setting
from jointune.evaluation.calibration import Calibration
from jointune.evaluation.conformal import Conformity
from jointune.evaluation.notes import notes_on_known
from jointune.evaluation.score_table import ScoreTable
from jointune.evaluation.unlike import TrainingVectors, summary_of
from jointune.inference.torch_backend import TorchBackend
from jointune.modalities.check import check_posts
from jointune.modalities.image.cache import open_store
from jointune.modalities.image.first_images import FirstImages
from jointune.modalities.image.image_text import read_with_bar
from jointune.modalities.image.store import ImageRows, store_images
from jointune.modalities.modality import Loaded, modality, wanted
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.model import JointModel, chosen_precision, make_model
from jointune.targets.choice import chosen_target
from jointune.targets.target import Target, rank
from jointune.training.checkpoint import Checkpoints
from jointune.training.embeddings import EmbeddingCache
from jointune.training.frozen_cache import cache_frozen_layers
from jointune.training.probe import start_from_probe
from jointune.training.start import Start
from jointune.training.tracking import loggable
from jointune.training.trained_vectors import independent, modalities_of, sampled_vectors, validated_vectors
from jointune.training.trainer import Validation, fine_tune
from jointune.training.training_set import TrainingSet
from jointune.utils.files import remove_leftovers
from jointune.utils.progress import progress_bar


@dataclass
class Prepared:
    """The posts of a run, ready to be trained on.

    Attributes:
        training: rows of the posts to learn from.
        validation: rows of the posts to choose on.
        posts: the posts of both, in the same order.
        test: posts to be scored once.
        modalities: by name.
        target: what is asked of a post.
        label_dtype: the NumPy type that the labels had in Python; see ``Posts``.
        problems: posts that ``on_bad_image`` skipped or stripped of their image.
        notes: what to know before the model is trusted.
        text_fit: how the training texts fit the text encoder.
    """

    training: TrainingSet
    validation: TrainingSet
    posts: tuple[Posts, Posts]
    test: Posts
    modalities: dict[str, Loaded]
    target: Target
    label_dtype: str | None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    text_fit: dict[str, Any] | None = None

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The number of posts by part and label."""
        parts = {"training": self.posts[0], "validation": self.posts[1], "test": self.test}
        return {name: self.target.counts(part) for name, part in parts.items() if part or name != "test"}

    def fingerprints(self) -> tuple[list[list[bytes]], list[list[bytes]]]:
        """Digests of the text and the images of each post, of training and of validation posts."""
        parts = []
        for posts, data in zip(self.posts, (self.training, self.validation), strict=True):
            images = data.rows["image"]
            assert isinstance(images, ImageRows), "images have rows of their own"
            parts.append([digests(post, images.digests(index)) for index, post in enumerate(posts)])
        return parts[0], parts[1]


@dataclass
class Trained:
    """The outcome of a run.

    Attributes:
        model: in evaluation mode, its temperature fitted, on ``device``.
        target: with what the validation posts chose.
        log: the training log, one entry a validation.
        trained_parameters: number of weights that training could change.
        metrics: on the validation posts.
        calibration: likewise.
        learned: fingerprints of the posts.
        conformity: the scores of validation posts by which prediction sets are made.
        vectors: of training posts, to compare other posts with; None where none are wanted, or no validation
            post tells what is usual.
        notes: what to know before the model is trusted.
        device: where the model is.
        before: the scores of the model that training started from, on the same posts; None without one.
    """

    model: JointModel
    target: Target
    log: list[dict[str, Any]]
    trained_parameters: int
    metrics: ScoreTable
    calibration: Calibration | None
    learned: LearnedPosts
    conformity: Conformity
    vectors: TrainingVectors | None
    notes: list[str]
    device: torch.device
    before: ScoreTable | None = None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` inside, and give torch's random state back at the end."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def load_modalities(config: Config, start: Start | None = None) -> dict[str, Loaded]:
    """Load the encoders that the settings ask for, or take those of ``start``; choose which weights are trained.

    Raises:
        EncoderError: one cannot be loaded, or cannot be used with these settings.
        SettingsError: ``lora`` finds no layer.
    """
    modalities = start.modalities() if start else {one.name: one.load(config) for one in wanted(config)}
    _choose_trained_weights(modalities, config)
    return modalities


def prepare(
    division: Division, config: Config, modalities: dict[str, Loaded], shown: bool = False, start: Start | None = None
) -> Prepared:
    """Open images, hold out validation posts, and encode everything that the model reads.

    Args:
        division: the posts by purpose.
        config: the settings.
        modalities: as loaded.
        shown: whether progress is shown.
        start: a model whose labels are kept.

    Raises:
        PostsError: posts cannot be learned from.
    """
    posts, held, tested = division.training, division.validation, division.test
    label_dtype = posts.label_dtype
    first_images = FirstImages(config.max_images)
    posts, held, tested = map(first_images.of, (posts, held, tested))
    # Images of test posts are opened again after training; one that cannot be would then cost all of it.
    raise_problems(list(check_posts(tested, config.on_bad_image, frames=config.frames)), tested.name)
    image = modalities["image"].preprocessor
    store = open_store(image)
    with progress_bar("reading pictures", "pictures", shown) as bar:
        posts, places, problems = store_images(posts, image, store, config.on_bad_image, bar)
        held, held_places, more = store_images(held, image, store, config.on_bad_image, bar)
    if config.read_image_text:
        # Those of the test posts too: what fails only after training costs all of it.
        posts, held, tested = (
            Posts(read_with_bar(part, shown, config.frames), part.name) for part in (posts, held, tested)
        )
    check_parts(posts, held if division.fraction is None else None, tested, division.asked)
    if division.fraction is not None:
        divided = replace(division, training=posts).numbers(config.seed)
        places, held_places = ([places[i] for i in part] for part in divided)
        posts, held = (posts.take(part) for part in divided)

    target = chosen_target(vars(config)).fitted(Posts(posts, posts.name, label_dtype))
    target = start.extended(target) if start else target
    fitted = {name: modality(name).fit(loaded, config, posts) for name, loaded in modalities.items()}
    found = [one.preprocessor.problem(post) for post in tested if post.files for one in fitted.values()]
    raise_problems([problem for problem in found if problem], tested.name)

    def encode(part: Posts, own_places: list[tuple[int, ...]]) -> TrainingSet:
        rows = {
            name: modality(name).rows(loaded.preprocessor, part, store, own_places, config)
            for name, loaded in fitted.items()
        }
        return TrainingSet(rows, target.encode(part))

    training, validation = encode(posts, places), encode(held, held_places)
    prepared = Prepared(training, validation, (posts, held), tested, fitted, target, label_dtype, problems + more)
    counter = TextFitCounter(fitted["text"].preprocessor)
    counter.add(training.rows["text"].rows, posts)
    fit = counter.result()
    prepared.text_fit = fit.to_dict()
    rests = "the choice between weights, the temperature and `abstain` rest on them"
    counts = prepared.counts
    prepared.notes = [
        *target.notes_on_few("validation", counts["validation"], len(held), rests),
        *(target.notes_on_few("test", counts["test"], len(tested)) if tested else ()),
        *fit.notes(config.text_encoder),
        *(
            note
            for part, of_part in (("training", posts), ("validation", held))
            for loaded in fitted.values()
            for note in loaded.preprocessor.notes(of_part, part)
        ),
        *first_images.notes,
    ]
    return prepared


def train(
    data: Prepared,
    config: Config,
    accelerator: Accelerator,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    shown: bool = False,
    began: float | None = None,
    start: Start | None = None,
) -> Trained:
    """Build the model, fine-tune it, and calibrate it on the validation posts.

    Args:
        data: the posts.
        config: the settings.
        accelerator: holds the devices and the trackers.
        checkpoints: where the state of the run is kept.
        resume: whether to go on from there.
        shown: whether progress is shown.
        began: the ``time.monotonic()`` from which the log counts seconds; by default, now.
        start: a model to go on from, in place of the probe.

    Raises:
        InterruptedTraining: Ctrl-C; the state was saved first.
        OutputError: the disk is full.
        TooLittleMemoryError: the device has too little memory to train on one post, or to run a batch.
        BundleError: the saved state is damaged or of another run.
    """
    encoders = {name: loaded.encoder for name, loaded in data.modalities.items()}
    model = make_model(encoders, config.fusion, data.target.outputs, config.probe)
    weights = data.target.weights(data.training.labels, config.class_weight)
    device = accelerator.device
    before = start.scores(data.target, data.validation, config.batch_size, device) if start else None

    def give_weights(untrained: JointModel) -> dict[str, Any]:
        if start:
            return start.give_weights(untrained, data.target)
        cache = None
        if not config.epochs and all(encoder.pretrained for encoder in encoders.values()):
            cache = EmbeddingCache(data.modalities, chosen_precision(device, config.precision))
        strength = start_from_probe(
            untrained, data.training, data.validation, config, device, data.target, weights, cache
        )
        return {"probe_strength": strength}

    if config.train_layers is not None and config.epochs and model.uses_activations:
        with progress_bar("running the frozen layers", "posts", shown) as bar:
            cache_frozen_layers(model, data.training, data.validation, config, device, bar)
    compiled = [encoder.model for encoder in encoders.values() if hasattr(encoder, "model")]
    with compiled_layers(compiled if config.compile_layers else ()), progress_bar("training", "steps", shown) as bar:
        log = fine_tune(
            model,
            data.training,
            lambda current: _validate(current, data, config, device),
            config,
            accelerator,
            data.target,
            weights,
            checkpoints,
            resume,
            give_weights if start or config.probe else None,
            bar,
            began or time.monotonic(),
        )
    parameters = _trained_parameters(model, data.training, config)
    for loaded in data.modalities.values():
        for merge in loaded.merges:
            merge()
        if hasattr(loaded.encoder, "hidden_layers"):
            loaded.description["depths"] = loaded.encoder.hidden_layers
    model.to(device).eval()
    seen, seen_held = data.fingerprints()
    learned = LearnedPosts.of(seen, seen_held)
    trained = TorchBackend(model, data.target, device)
    summarised = [name for name in encoders if config.keep_vectors and summary_of(name) in model.vector_names]
    logits, found = validated_vectors(trained, summarised, data.validation, config.batch_size)
    scores = data.target.activate(logits).astype(np.float32)
    held = modalities_of(data.validation)
    labels = data.validation.labels
    calibration = data.target.calibrate(labels, scores, held)
    if calibration is not None:
        model.temperature.fill_(calibration.temperature)
        scores = data.target.at_temperature(scores, calibration.temperature)
    target = data.target.tuned(labels, scores)
    metrics = target.metrics(labels, scores)
    known = LearnedPosts.of(seen, ()).known_digests(seen_held)
    differing = independent(data.posts[1], seen_held, known)
    out_of_fold = (calibration.out_of_fold if calibration else scores)[differing]
    conformity = Conformity(data.target.conformity(labels[differing], out_of_fold), [held[i] for i in differing])
    own = {name: rows[differing] for name, rows in found.items()}
    vectors = None
    if config.keep_vectors:
        fast = TorchBackend(model, data.target, device, config.precision)
        sample = sampled_vectors(fast, summarised, data.training, config)
        vectors = TrainingVectors.of(sample, own, config.seed)
    notes = target.notes_on_answers(metrics, "validation")
    notes += notes_on_known(known, labels, scores, target.metrics, "validation")
    outcome = (calibration, learned, conformity, vectors, notes, device, before)
    return Trained(model, target, log, parameters, metrics, *outcome)


def _choose_trained_weights(modalities: dict[str, Loaded], config: Config) -> None:
    """Freeze layers of the encoders, add hidden states for the probe and low-rank updates, as the settings say.

    Raises:
        SettingsError: ``lora`` finds no layer.
    """
    for loaded in modalities.values():
        encoder = loaded.encoder
        if not hasattr(encoder, "model"):  # that of fields, which is made later or is trained as a whole
            continue
        if config.train_layers is not None:
            encoder.freeze_lower(config.train_layers)
        if config.probe:
            encoder.use_hidden_layers(spread_layers(encoder.model, config.probe_depths - 1))
        if config.lora is not None and (merge := add_lora(encoder.model, config.lora)):
            loaded.merges.append(merge)
        if config.gradient_checkpointing:
            recompute_layers(encoder.model)
    if config.lora is not None and not any(loaded.merges for loaded in modalities.values()):
        raise SettingsError(
            f"{setting('lora', config.lora)}: no layer that would be trained is linear", "do without it", setting="lora"
        )


def checkpoints_of(folder: Path, data: Prepared, settings: dict[str, Any], accelerator: Accelerator) -> Checkpoints:
    """Return where the state of a run is kept, with the fingerprint by which a resumed run is compared.

    Args:
        folder: of the state.
        data: the posts.
        settings: the arguments of the classifier.
        accelerator: holds the processes.
    """
    if accelerator.is_main_process:
        remove_leftovers(folder)
    irrelevant = ("progress", "track", "device", "text_column", "image_column", "label_column")
    own = {name: value for name, value in loggable(settings).items() if name not in irrelevant}
    parts = zip(("training posts", "validation posts"), data.posts, strict=True)
    read = [one for loaded in data.modalities.values() for one in loaded.preprocessor.reads]
    columns = [name for name, kind, _ in read if kind in ("number", "category")]
    contents = {name: posts_digest(part, columns) for name, part in parts}
    versions = {"jointune version": __version__, "torch version": str(torch.__version__)}
    return Checkpoints(folder, own | contents | versions | {"number of processes": accelerator.num_processes})


def notes_on_division(division: Division) -> list[str]:
    """Return what to know about the posts as they were given."""
    note = division.asked.note(Counter(post.label for post in division.training if post.label is not None))
    return [*division.notes, *([note] if note else [])]


def _validate(model: JointModel, data: Prepared, config: Config, device: torch.device) -> Validation:
    run = TorchBackend(model, data.target, device, config.precision)
    validation = data.validation
    scores = run(validation.in_order(config.batch_size), len(validation))
    target, metric = data.target.tuned(validation.labels, scores), data.target.check_metric(config.metric)
    metrics = target.metrics(validation.labels, scores)
    # Small validation parts tie often; the loss then decides.
    score = (rank(metric, getattr(metrics, metric)), -target.log_loss(validation.labels, scores))
    error = target.standard_error(metric, metrics, validation.labels, scores)
    precision = chosen_precision(device, config.precision)
    return Validation(score, error, target.logged(metrics), precision, target.shown)


def _trained_parameters(model: JointModel, training: TrainingSet, config: Config) -> int:
    """Count the weights that training can change: without epochs the probe's; not those of absent modalities."""
    trained = ("",) if config.epochs else ("probe.",)
    absent = [f"encoders.{name}." for name, rows in training.rows.items() if not rows.present.any()]
    absent += [] if training.several else ["attention."]
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and name.startswith(trained) and not name.startswith(tuple(absent))
    )
