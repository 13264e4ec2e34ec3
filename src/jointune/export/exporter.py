"""Export of a classifier to a folder that onnxruntime runs."""

import copy
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointune import __version__
from jointune.data.fingerprints import LEARNED
from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.errors import PostsError
from jointune.export.agreement import compare_with_torch, refuse_difference
from jointune.export.graph import quantize, write_graph
from jointune.inference.onnx_backend import (
    CARD,
    FORMAT,
    GRAPH,
    LABELS,
    PREPROCESSOR,
    TOKENIZER,
    VERIFIED,
    WEIGHTS,
    ExportedModel,
    open_graph,
)
from jointune.persistence.model_card import with_interval
from jointune.utils.extras import install_command
from jointune.utils.files import EXPORT_MARK, atomic_folder, write_json, write_manifest
from jointune.utils.markdown import literal, table
from jointune.utils.run_folder import RunFolder, locking
from jointune.utils.wording import counted

if TYPE_CHECKING:
    from jointune.classifier import JointClassifier


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
    """Write the whole model as one ONNX graph with its preprocessing, after checking the graph on posts.

    Args:
        classifier: trained or loaded.
        path: the folder to write.
        int8: whether to quantize the graph's feed-forward layers to 8-bit integers.
        posts: what the graph is checked on, best like those it is meant for; the embedded demo posts by default.
        allow_loss: percent of these posts that may get another label by ``int8``, and points of accuracy that it may
            cost.
        force: replace an earlier export.

    Returns:
        ``Agreement`` with torch as a dictionary, and the ``bytes`` of the graph, by precision: ``fp32``, and ``int8``
        if asked for.

    Raises:
        OutputError: ``path`` exists, or the graph differs too much from torch.
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
        precisions = ("fp32", "int8") if int8 else ("fp32",)
        for precision in precisions:
            (folder / precision).mkdir()
        write_graph(model, predictor.text, predictor.image, folder / "fp32" / GRAPH)
        if int8:
            quantize(folder / "fp32" / GRAPH, folder / "int8" / GRAPH)
        graphs = {
            name: ExportedModel(open_graph(folder / name / GRAPH), predictor.text, predictor.image).logits
            for name in precisions
        }
        agreements = compare_with_torch(graphs, model, predictor, checked)
        refuse_difference(path, agreements, allow_loss)
        sizes = {name: sum(file.stat().st_size for file in (folder / name).iterdir()) for name in precisions}
        report = {name: asdict(agreements[name]) | {"bytes": sizes[name]} for name in precisions}
        del graphs  # the files are open in them
        for name in (GRAPH, WEIGHTS):
            (folder / precisions[-1] / name).replace(folder / name)
        for precision in precisions:
            shutil.rmtree(folder / precision)

        (folder / TOKENIZER).write_text(predictor.text.tokenizer.to_str(pretty=True), encoding="utf-8")
        write_json(folder / PREPROCESSOR, predictor.image.config())
        write_json(folder / LABELS, predictor.labels)
        description = {
            "format": FORMAT,
            "jointune_version": __version__,
            "export": {"precision": precisions[-1], "checked_on": checked.name, "check": report},
            "inputs": _inputs(predictor.text.inputs),
            "output": "logits, float32 [posts, labels]: their softmax is the calibrated probabilities",
            "text_preprocessing": predictor.text.config(),
            "read_image_text": predictor.read_image_text,
            "about": dict(predictor.about),
        }
        write_json(folder / EXPORT_MARK, description)
        card = f"{predictor.card}\n{_card_section(precisions[-1], checked.name, report)}"
        (folder / CARD).write_text(card, encoding="utf-8")
        if predictor.learned is not None:
            write_json(folder / LEARNED, predictor.learned.to_dict())
        write_manifest(folder, VERIFIED)
    return report


def _inputs(text_inputs: tuple[str, ...]) -> dict[str, str]:
    """Describe each input of the graph, for those who run it without jointune."""
    names = dict.fromkeys(("input_ids", "attention_mask", *text_inputs))
    return {
        "present": "bool [posts, 2]: whether each has a text, and a picture",
        **dict.fromkeys(names, "int64 [texts, tokens]: a row for each post that has a text; one row if none has"),
        "pixels": "uint8 [pictures, height, width, 3]: likewise for pictures, RGB, after resizing and cropping",
    }


def _card_section(precision: str, posts: str, report: Mapping[str, Mapping[str, Any]]) -> str:
    checked = f"{counted(report[precision]['posts'], 'post')} of {literal(posts)}"
    return "\n".join(
        [
            f"## Export\n\nOne ONNX graph in {precision}, checked against torch on {checked}:\n",
            *report_table(report),
            "\nRun it with `jointune predict`, `evaluate` or `serve`. What they need, without torch, is installed "
            f"{install_command('serve')}\n",
        ]
    )


def report_table(report: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table of what ``export`` returned: size, labels and scores by precision."""
    rows = [
        [
            name,
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['difference']:.1e}",
            f"{100 * row['same']:.1f} %",
            *("" if row[score] is None else with_interval(row, score) for score in ("accuracy", "macro_f1")),
        ]
        for name, row in report.items()
    ]
    return table(
        ["graph", "size", "largest difference of a logit", "same labels", "accuracy", "macro F1"], "lrrrrr", rows
    )
