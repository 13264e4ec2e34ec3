"""What every cell would refuse is told before the first one."""

from collections.abc import Collection, Sequence
from typing import Any

from jointune.baselines.clip_zero_shot import TEMPLATE, prompts_of
from jointune.classifier import JointClassifier
from jointune.comparison.methods import Setup
from jointune.comparison.protocol import Fold
from jointune.config import Config, check_names
from jointune.data.post import Posts
from jointune.data.problems import Problem, raise_problems
from jointune.encoders.loading import load_image_encoder, load_projections, load_text_encoder
from jointune.errors import SettingsError
from jointune.utils.cache_dir import cache_limit


def check_settings(settings: dict[str, Any]) -> None:
    """See that every setting is one of ``JointClassifier``, and possible, as is ``JOINTUNE_CACHE_GIB``.

    Raises:
        SettingsError: one is not.
    """
    if "seed" in settings:
        raise SettingsError("seed: a comparison chooses the seeds itself", "say how many with seeds", setting="seed")
    check_names(settings)
    Config(**settings).validated()
    cache_limit()


def check_encoders(methods: Collection[str], setup: Setup, labels: Sequence[str]) -> None:
    """Load the encoders of these methods once, and see that each label has a prompt where prompts are needed.

    Args:
        methods: names in ``METHODS``.
        setup: what they share.
        labels: of the posts.

    Raises:
        EncoderError: an encoder or a checkpoint cannot be found or loaded.
        SettingsError: a label has no prompt.
    """
    of_clip = {"clip", "clip-zero-shot"} & set(methods)
    if of_clip:
        load_projections(str(setup.clip))
    if "clip-zero-shot" in of_clip:
        prompts_of(labels, TEMPLATE if setup.prompts is None else setup.prompts)
    if others := set(methods) - of_clip:
        shared = JointClassifier(**setup.settings)
        load_image_encoder(shared.image_encoder)
        if others != {"visualbert"} or not setup.visualbert:
            load_text_encoder(shared.text_encoder, shared.max_tokens)
    if "visualbert" in others and setup.visualbert:
        load_text_encoder(setup.visualbert)


def check_labels(posts: Posts, divided: Sequence[Fold]) -> None:
    """See that each label of validation posts can be learned.

    Raises:
        PostsError: no post to learn from has it.
    """
    for fold in divided:
        learned = {posts[number].label for number in fold.learn}
        problems = [
            Problem(
                posts[number].where,
                "label",
                f"no post to learn from is labelled {posts[number].label!r}",
                "mark some such posts train, or relabel this one",
            )
            for number in fold.check
            if posts[number].label not in learned
        ]
        raise_problems(problems, posts.name)
