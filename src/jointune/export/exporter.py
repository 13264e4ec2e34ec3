"""Export of a classifier to a folder that onnxruntime runs."""

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointune import __version__
from jointune.data.fingerprints import LEARNED
from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.demo import POSTS
from jointune.errors import PostsError
from jointune.evaluation.score_table import title, with_interval
from jointune.export.agreement import compare_with_torch, refuse_difference
from jointune.export.graph import quantize, write_graph
from jointune.inference.onnx_backend import CARD, FORMAT, GRAPH, LABELS, VERIFIED, WEIGHTS, ExportedModel, vector_output
from jointune.modalities.batch import ITEMS, Preprocessors
from jointune.persistence.manifest import write_preprocessors, write_uncertainty
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
        write_graph(model, predictor.preprocessors, folder / "fp32" / GRAPH)
        if int8:
            quantize(folder / "fp32" / GRAPH, folder / "int8" / GRAPH)
        graphs = {
            name: ExportedModel(folder / name / GRAPH, predictor.target, predictor.preprocessors).logits
            for name in precisions
        }
        agreements = compare_with_torch(graphs, model, predictor, checked)
        refuse_difference(path, agreements, allow_loss)
        sizes = {name: sum(file.stat().st_size for file in (folder / name).iterdir()) for name in precisions}
        report = {name: {**vars(agreements[name]), "bytes": sizes[name]} for name in precisions}
        for values in report.values():
            values |= values.pop("scores")
        del graphs  # the files are open in them
        for name in (GRAPH, WEIGHTS):
            (folder / precisions[-1] / name).replace(folder / name)
        for precision in precisions:
            shutil.rmtree(folder / precision)

        preprocessing = write_preprocessors(folder, predictor.preprocessors)
        write_json(folder / LABELS, predictor.labels)
        description = {
            "format": FORMAT,
            "jointune_version": __version__,
            "export": {"precision": precisions[-1], "checked_on": checked.name, "check": report},
            "inputs": _inputs(predictor.preprocessors),
            "output": f"logits, float32 [posts, {predictor.target.outputs}]: {predictor.target.graph_output}",
            "vectors": {vector_output(name): f"float32 [posts, any]: of {name}" for name in model.vector_names},
            "target": predictor.target.description(),
            "modalities": list(predictor.preprocessors),
            **preprocessing,
            "read_image_text": predictor.read_image_text,
            "about": dict(predictor.about),
        }
        write_json(folder / EXPORT_MARK, description)
        card = f"{predictor.card}\n{_card_section(precisions[-1], checked.name, report)}"
        (folder / CARD).write_text(card, encoding="utf-8")
        if predictor.learned is not None:
            write_json(folder / LEARNED, predictor.learned.to_dict())
        further = write_uncertainty(folder, predictor.conformity, predictor.training_vectors)
        write_manifest(folder, [*VERIFIED, *further])
    return report


def _inputs(preprocessors: Preprocessors) -> dict[str, str]:
    """Describe each input of the graph, for those who run it without jointune."""
    inputs = {"present": f"bool [posts, {len(preprocessors)}]: which of {', '.join(preprocessors)} each post has"}
    for name, one in preprocessors.items():
        for key, array in one.collate(one.examples()).items():
            sizes = ("any" if axis in one.open_axes() else str(size) for axis, size in enumerate(array.shape))
            rows = f"a row for each post that has {name}; one row if none has"
            inputs[key] = f"{array.dtype} [{', '.join(sizes)}]: {rows}"
        if one.several:
            inputs[key] = inputs[key].replace(rows, f"a row for each {name} of all posts; one row if there is none")
            inputs[f"{name}{ITEMS}"] = (
                f"int64 [any, any]: a row for each post that has {name}, with the rows of its own in {key}, -1 behind "
                "the last one; [[0]] if none has"
            )
    return inputs


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
    scores = [key.removesuffix("_ci") for key in next(iter(report.values())) if key.endswith("_ci")]
    rows = [
        [
            name,
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['difference']:.1e}",
            f"{100 * row['same']:.1f} %",
            *(with_interval(row, score) for score in scores),
        ]
        for name, row in report.items()
    ]
    return table(
        ["graph", "size", "largest difference of a logit", "same answers", *map(title, scores)],
        "lrrr" + "r" * len(scores),
        rows,
    )
