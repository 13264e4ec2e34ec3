"""A dual encoder such as CLIP without any training: posts are compared with a prompt for each label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jointune.data.label_checks import class_numbers
from jointune.data.problems import OnBadImage, Problem, valid_policy
from jointune.data.records import as_posts
from jointune.encoders.encoder_output import join_items
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.loading import Projections, load_image_encoder, load_projections, load_text_encoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.errors import PostsError, SettingsError, setting
from jointune.evaluation.calibration import at_temperature, calibrate
from jointune.inference.predictor import Predictor
from jointune.inference.torch_backend import TorchBackend
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.model import Inputs, Outputs
from jointune.targets.single_label import SingleLabel

TEMPLATE = "a post that feels {label}"
"""The prompt for a label, where the user gives none."""

Prompts = str | Mapping[str, str | Sequence[str]]
"""A template with ``{label}``, or one or several prompts for each label."""


class ClipZeroShot:
    """The zero-shot classifier of CLIP (Radford et al., 2021, arXiv 2103.00020, section 3.1), for posts.

    A label's embedding is the mean of its prompts' normalised embeddings, as in section 3.1.4. A post's is the mean of
    the normalised embeddings of what it has, text, picture or both; CLIP itself classifies pictures only. Their cosine,
    times the checkpoint's own scale, makes the logits. A post with neither gets the same probability for every label.

    Args:
        checkpoint: a folder or a Hugging Face id of CLIP or SigLIP.
        prompts: a template with ``{label}``, or a mapping of labels to one or several prompts;
            ``a post that feels {label}`` by default.
        batch_size: posts a batch.
        on_bad_image: what to do about a picture that cannot be read: ``error``, or go on as if it were ``missing``.
        device: such as ``cpu`` or ``cuda:1``; a GPU by default where there is one.

    Attributes:
        classes_: label names, str [C], in the order of the probabilities' columns.
        problems_: posts that were scored without their picture.
        trained_parameters_: 0.
        temperature_: what the logits are divided by, beside the checkpoint's own scale; 1 without validation posts.
    """

    def __init__(
        self,
        checkpoint: str,
        prompts: Prompts | None = None,
        *,
        batch_size: int = 32,
        on_bad_image: OnBadImage = "error",
        device: str | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.prompts = prompts
        self.batch_size = batch_size
        self.on_bad_image = on_bad_image
        self.device = device

    def fit(self, posts: Any, *, validation: Any = None) -> "ClipZeroShot":
        """Learn which labels there are, and of validation posts how confident to be.

        Args:
            posts: as for ``JointClassifier.fit``; their texts and pictures are not looked at.
            validation: labelled posts to fit a temperature on, so that log loss and calibration compare with those of
                other methods; no answer depends on it. None, or a fraction, for the checkpoint's own.

        Raises:
            PostsError: no post has a label, or a validation post has another one or cannot be used.
            SettingsError: a label has no prompt.
            EncoderError: the checkpoint cannot be loaded, or is not that of a dual encoder.
        """
        valid_policy(self.on_bad_image)
        posts = as_posts(posts)
        labels = posts.label_names
        if not labels:
            raise PostsError(f"{posts.name}: no post has a label, and the labels are what is learned")
        prompts = prompts_of(labels, TEMPLATE if self.prompts is None else self.prompts)
        text, text_preprocessor, _ = load_text_encoder(self.checkpoint)
        image, image_preprocessor, _ = load_image_encoder(self.checkpoint)
        self.preprocessors_: dict[str, Any] = {"text": text_preprocessor, "image": image_preprocessor}
        predictor = PromptScorer(text, image, load_projections(self.checkpoint)).eval()
        self._device = torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.model_ = predictor.to(self._device)
        predictor.compare_with([self._tokens(of_label, text_preprocessor) for of_label in prompts])
        self.classes_ = np.array(labels, dtype=object)
        self.trained_parameters_ = 0
        self.temperature_ = 1.0
        if validation is not None and not isinstance(validation, int | float):
            held = as_posts(validation)
            truth = class_numbers(held, labels)
            self.temperature_ = calibrate(self.predict_proba(held), truth).temperature
        return self

    def predict_proba(self, posts: Any) -> np.ndarray:
        """Probabilities, float32 [N, C], columns in the order of ``classes_``.

        Raises:
            PostsError: a post cannot be used.
        """
        posts = as_posts(posts)
        policy: OnBadImage = "missing" if self.on_bad_image == "missing" else "error"
        self.problems_: list[Problem] = []

        target = SingleLabel(list(self.classes_))
        predictor = Predictor(target, TorchBackend(self.model_, target, self._device), self.preprocessors_)
        scored = predictor.stream(posts, policy, self.problems_, posts.name, self.batch_size)
        rows = [at_temperature(one.probabilities[None], self.temperature_)[0] for one in scored]
        return np.stack(rows) if rows else np.zeros((0, len(self.classes_)), dtype=np.float32)

    def predict(self, posts: Any) -> np.ndarray:
        """Return the most probable label of each post, str [N]; raises what ``predict_proba`` raises."""
        return self.classes_[SingleLabel(list(self.classes_)).choose(self.predict_proba(posts))]

    def _tokens(self, prompts: list[str], text: TextPreprocessor) -> dict[str, Tensor]:
        padded = text.collate(text.encode(prompts))
        return {name: torch.from_numpy(values).to(self._device) for name, values in padded.items()}


class PromptScorer(nn.Module):
    """Two towers with their projections, and the prompts' embeddings to compare posts with.

    Args:
        text: the text tower.
        image: the image tower.
        projections: of the same checkpoint.
    """

    text_projection: Tensor
    image_projection: Tensor
    labels: Tensor

    def __init__(self, text: TextEncoder, image: ImageEncoder, projections: Projections) -> None:
        super().__init__()
        self.text_encoder = text
        self.image_encoder = image
        self.register_buffer("text_projection", projections.text)
        self.register_buffer("image_projection", projections.image)
        self.register_buffer("labels", projections.text.new_zeros(0, len(projections.text)))
        self.scale = projections.scale

    @torch.no_grad()
    def compare_with(self, prompts: list[dict[str, Tensor]]) -> None:
        """Take the prompts of each label, as token ids and masks [prompts, L]."""
        means = [self._text(of_label).mean(0) for of_label in prompts]
        self.labels = nn.functional.normalize(torch.stack(means), dim=-1)

    def forward(self, inputs: Inputs) -> Outputs:
        """Return a logit for each label, float [B, labels]."""
        has_text, has_image = inputs.present.unbind(1)
        posts = self.labels.new_zeros(len(inputs.present), self.labels.shape[1])
        if "text" in inputs.inputs:
            posts[has_text] += self._text(inputs.inputs["text"])
        if "image" in inputs.inputs:
            posts[has_image] += self._image(inputs.inputs["image"], inputs.items.get("image"))
        # The cosine with the sum is that with the mean; a post without anything stays at zero.
        return Outputs(self.scale * nn.functional.normalize(posts, dim=-1) @ self.labels.T)

    def _text(self, tokens: Mapping[str, Tensor]) -> Tensor:
        return nn.functional.normalize(self.text_encoder(tokens).pooled @ self.text_projection.T, dim=-1)

    def _image(self, pixels: Mapping[str, Tensor], items: Tensor | None) -> Tensor:
        output = self.image_encoder(pixels)
        if items is not None:
            output = join_items(output, items, output.pooled.new_zeros(output.pooled.shape[1]))
        return nn.functional.normalize(output.pooled @ self.image_projection.T, dim=-1)


def prompts_of(labels: Sequence[str], prompts: Prompts) -> list[list[str]]:
    """Return the prompts of each label, in the labels' order.

    Raises:
        SettingsError: a template without ``{label}``, or a label without a prompt.
    """
    if isinstance(prompts, str):
        if "{label}" not in prompts:
            raise SettingsError(
                f"{setting('prompts', prompts)}: the template needs {{label}}, where each label is put",
                setting="prompts",
            )
        return [[prompts.replace("{label}", label)] for label in labels]
    chosen = [prompts.get(label, []) for label in labels]
    found = [[prompt] if isinstance(prompt, str) else list(prompt) for prompt in chosen]
    if lacking := [label for label, prompt in zip(labels, found, strict=True) if not any(prompt)]:
        raise SettingsError(
            f"prompts: none for the label{'s' * (len(lacking) > 1)} {', '.join(map(repr, lacking))}",
            f"there are some for {', '.join(map(repr, prompts)) or 'no label'}",
            setting="prompts",
        )
    return found
