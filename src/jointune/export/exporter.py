"""From a classifier to a folder that onnxruntime runs, once it was found to say the same."""

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jointune import __version__
from jointune.data.fingerprints import LEARNED
from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.errors import OutputError, PostsError, setting
from jointune.export.agreement import Agreement, Logits, agreement, logits_on, partly_hidden
from jointune.export.graph import write_graph
from jointune.export.int8 import quantize
from jointune.inference.onnx_backend import FORMAT, GRAPH, LABELS, VERIFIED, WEIGHTS, ExportedModel
from jointune.modalities.batch import Batch
from jointune.model import JointModel, to_inputs
from jointune.persistence.manifest import write_preprocessors
from jointune.persistence.model_card import with_interval
from jointune.utils.extras import install_command
from jointune.utils.files import EXPORT_MARK, atomic_folder, write_json, write_manifest
from jointune.utils.markdown import literal, table
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted

if TYPE_CHECKING:
    from jointune.classifier import JointClassifier

TOLERANCE = 1e-3
"""How far a logit of the graph in 32-bit floats may be from torch's."""


@locking("path")
def export(
    classifier: "JointClassifier",
    path: str | Path,
    *,
    int8: bool = False,
    posts: Posts | None = None,
    allow_loss: float = 1.0,
    force: bool = False,
) -> dict[str, dict[str, Any]]:
    """Write the whole model as one ONNX graph, with its preprocessing beside it, after checking it on posts.

    Args:
        classifier: trained or loaded.
        path: the folder to write.
        int8: whether the linear layers of the graph are quantized to 8-bit integers.
        posts: what the graph is checked on, best like those it is meant for; the embedded demo posts by default.
        allow_loss: how many percent of these posts may get another label by ``int8``, and how many points of
            accuracy that may cost.
        force: replace an earlier export.

    Returns:
        ``Agreement`` with torch as a dictionary, and the ``bytes`` of the graph, by precision: ``fp32``, and ``int8``
        where it was asked for.

    Raises:
        OutputError: ``path`` exists, or the graph differs from torch by more than it may.
        PostsError: a post cannot be used.
        MissingExtraError: a package of the extra ``export`` is not installed.
    """
    path = Path(path)
    RunFolder(path, EXPORT_MARK, force=force).refuse()
    checked = posts if posts is not None else Posts(read_posts(POSTS), "the demo")
    if not checked:
        raise PostsError(f"{checked.name}: no posts to check the graph on")
    predictor = classifier.predictor()
    model = copy.deepcopy(classifier.model_).cpu().eval()
    with atomic_folder(path) as folder:
        precise = folder / "fp32"
        precise.mkdir()
        write_graph(model, predictor.preprocessors, precise / GRAPH)
        graphs = {"fp32": precise}
        if int8:
            graphs["int8"] = folder / "int8"
            graphs["int8"].mkdir()
            quantize(precise / GRAPH, graphs["int8"] / GRAPH)
        runs = {
            name: ExportedModel(made / GRAPH, predictor.target, predictor.preprocessors)
            for name, made in graphs.items()
        }
        tried = Posts([*checked, *partly_hidden(checked)], checked.name)
        said = logits_on(
            tried, predictor, {"torch": torch_logits(model)} | {name: run.logits for name, run in runs.items()}
        )
        found = {name: agreement(said[name], said["torch"], checked, predictor.target) for name in graphs}
        _refuse(path, found, allow_loss)
        report = {name: found[name].to_dict() | {"bytes": _size(graphs[name])} for name in graphs}

        chosen = graphs["int8" if int8 else "fp32"]
        for name in (GRAPH, WEIGHTS):
            # Not moved: onnx writes files that nobody else may read.
            shutil.copyfile(chosen / name, folder / name)
        del runs
        for made in graphs.values():
            shutil.rmtree(made)
        preprocessing = write_preprocessors(folder, predictor.preprocessors)
        write_json(folder / LABELS, predictor.labels)
        precision = "int8" if int8 else "fp32"
        write_json(
            folder / EXPORT_MARK,
            {
                "format": FORMAT,
                "jointune_version": __version__,
                "export": {"precision": precision, "checked_on": checked.name, "check": report},
                "inputs": _inputs(predictor.text.inputs),
                "output": "logits, float32 [posts, labels]: their softmax is the calibrated probabilities",
                "modalities": list(predictor.preprocessors),
                **preprocessing,
                "read_image_text": predictor.read_image_text,
                "about": dict(predictor.about),
            },
        )
        (folder / "README.md").write_text(
            export_card(predictor.card, precision, checked.name, report), encoding="utf-8"
        )
        if predictor.learned is not None:
            write_json(folder / LEARNED, predictor.learned.to_dict())
        write_manifest(folder, VERIFIED)
    return report


def torch_logits(model: JointModel) -> Logits:
    """What a model on the CPU says of a batch, in 32-bit floats."""

    def logits(batch: Batch) -> np.ndarray:
        with torch.inference_mode():
            return model(to_inputs(batch, torch.device("cpu"))).logits.numpy()

    return logits


def _refuse(path: Path, found: dict[str, Agreement], allow_loss: float) -> None:
    precise = found["fp32"]
    if not precise.difference <= TOLERANCE:
        raise OutputError(
            f"{path} was not written: a logit of the graph differs from torch's by "
            f"{precise.difference:.2g} on {counted(precise.posts, 'post')}, more than {TOLERANCE:g}",
            "use the bundle itself, and please report it",
        )
    if "int8" not in found:
        return
    rounded = found["int8"]
    other = 100 * (1 - rounded.same)
    lost = 100 * ((precise.accuracy or 0) - (rounded.accuracy or 0))
    if max(other, lost) > allow_loss + 1e-9:
        raise OutputError(
            f"{path} was not written: in int8, {other:.1f} % of {counted(rounded.posts, 'post')} get "
            f"another label, and {lost:.1f} points of accuracy are lost",
            f"{allow_loss:g} are allowed: export without {setting('int8', True)}, or allow more with "
            f"{setting('allow_loss')}",
        )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _inputs(text: tuple[str, ...]) -> dict[str, str]:
    """What each input of the graph holds, for those who run it without jointune."""
    names = dict.fromkeys(("input_ids", "attention_mask", *text))
    return {
        "present": "bool [posts, 2]: whether each has a text, and a picture",
        **dict.fromkeys(names, "int64 [texts, tokens]: a row for each post that has a text; one row if none has"),
        "pixels": "uint8 [pictures, height, width, 3]: likewise for pictures, RGB, after resizing and cropping",
    }


def export_card(card: str, precision: str, posts: str, report: Mapping[str, Mapping[str, Any]]) -> str:
    """The bundle's card with a section on the export.

    Args:
        card: of the bundle, Markdown.
        precision: ``fp32`` or ``int8``.
        posts: what the graph was checked on.
        report: what ``export`` found, by precision.
    """
    lines = [
        "## Export",
        "",
        f"One ONNX graph in {precision}, checked against torch on "
        f"{counted(report[precision]['posts'], 'post')} of {literal(posts)}:",
        "",
        *report_table(report),
        "",
        "Run it with `jointune predict`, `evaluate` or `serve`. What they need, without torch, is installed "
        f"{install_command('serve')}",
        "",
    ]
    return card + "\n" + "\n".join(lines)


def report_table(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A row for each precision: size, labels, scores."""
    rows = [
        [
            name,
            f"{found['bytes'] / 1e6:.1f} MB",
            f"{found['difference']:.1e}",
            f"{100 * found['same']:.1f} %",
            *("" if found[score] is None else with_interval(found, score) for score in ("accuracy", "macro_f1")),
        ]
        for name, found in report.items()
    ]
    return table(
        ["graph", "size", "largest difference of a logit", "same labels", "accuracy", "macro F1"], "lrrrrr", rows
    )
