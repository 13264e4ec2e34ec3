"""jointune: any text encoder and any image encoder, fine-tuned jointly into one classifier of posts.

Public names are imported when they are first used, so that ``import jointune`` takes milliseconds. The import sets the
environment variables of ``jointune.utils.telemetry``, so that no package that is used later reports to its maker.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jointune.utils.telemetry import turn_off

turn_off()

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jointune.classifier import JointClassifier
    from jointune.comparison.grid import compare
    from jointune.data.post import Post, Posts
    from jointune.data.read import read_posts
    from jointune.errors import (
        BundleError,
        EncoderError,
        InterruptedTraining,
        JointuneError,
        JointuneWarning,
        MissingExtraError,
        OutputError,
        PostsError,
        SettingsError,
        TooLittleMemoryError,
    )
    from jointune.evaluation.metrics import Metrics
    from jointune.evaluation.target_metrics import NumberMetrics, OrderedMetrics, SeveralMetrics
    from jointune.tuning.search import tune

_HOME = {
    "JointClassifier": "jointune.classifier",
    "compare": "jointune.comparison.grid",
    "tune": "jointune.tuning.search",
    "Metrics": "jointune.evaluation.metrics",
    "NumberMetrics": "jointune.evaluation.target_metrics",
    "OrderedMetrics": "jointune.evaluation.target_metrics",
    "SeveralMetrics": "jointune.evaluation.target_metrics",
    "Post": "jointune.data.post",
    "Posts": "jointune.data.post",
    "read_posts": "jointune.data.read",
    "BundleError": "jointune.errors",
    "EncoderError": "jointune.errors",
    "InterruptedTraining": "jointune.errors",
    "JointuneError": "jointune.errors",
    "JointuneWarning": "jointune.errors",
    "MissingExtraError": "jointune.errors",
    "OutputError": "jointune.errors",
    "PostsError": "jointune.errors",
    "SettingsError": "jointune.errors",
    "TooLittleMemoryError": "jointune.errors",
}

__all__ = [
    "BundleError",
    "EncoderError",
    "InterruptedTraining",
    "JointClassifier",
    "JointuneError",
    "JointuneWarning",
    "Metrics",
    "MissingExtraError",
    "NumberMetrics",
    "OrderedMetrics",
    "OutputError",
    "Post",
    "Posts",
    "PostsError",
    "SettingsError",
    "SeveralMetrics",
    "TooLittleMemoryError",
    "__version__",
    "compare",
    "read_posts",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'jointune' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as reason:
        if reason.name is None or reason.name.split(".")[0] == "jointune":
            raise
        from jointune.errors import MissingExtraError
        from jointune.utils.extras import install_command

        raise MissingExtraError(f"{name} needs the package {reason.name}", f"{install_command('train')}") from reason


def __dir__() -> list[str]:
    return __all__
