"""Whether explanations name what counts: python benchmarks/explanations.py BUNDLE POSTS [options].

Three checks, after those that Quantus collects (Hedström et al., 2023, arXiv 2202.06861), for each method. Deletion:
how much the probability of the predicted label falls if the fifth of the words, or of the regions of the image, with
the greatest attributions is removed, beside as many drawn at random. Randomised weights: how alike the attributions
stay (Spearman) while the weights of the model are permuted within each tensor, from the head down to the first layers
(Adebayo et al., 2018, arXiv 1810.03292). Planted: in demo posts with shuffled labels, a word or a coloured patch alone
tells the label; how often it has the greatest attribution.
"""

import copy
import random
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from results import circumstances, parser, save, show
from scipy.stats import spearmanr

from jointune import JointClassifier, Post, Posts, read_posts
from jointune.demo import POSTS
from jointune.explain.explainer import METHODS, Explainer
from jointune.explain.explanation import Explanation
from jointune.inference.predictor import Predictor
from jointune.inference.torch_backend import TorchBackend

SHARE = 0.2
"""Of the parts that are removed."""
DRAWS = 10
STAGES = ("head and fusion", "last half of the encoders", "all")
WORDS = {"happy": "violin", "unhappy": "gravel"}
COLOURS = {"happy": (230, 30, 30), "unhappy": (30, 60, 230)}


def explain(
    predictor: Predictor, posts: Sequence[Post], method: str, labels: Sequence[str] = ()
) -> tuple[list[Explanation], float]:
    """Return the explanations, of further labels too, and seconds a post."""
    began = time.perf_counter()
    found = list(Explainer(predictor, labels, method).explain(posts))
    return found, (time.perf_counter() - began) / len(found)


def falls(predictor: Predictor, one: Explanation, modality: str, rng: np.random.Generator) -> tuple[float, float]:
    """Return how far the probability falls without the parts on top, and without random ones."""
    first, parts = one.attributions[0], one.parts[modality]
    count = max(1, round(SHARE * len(parts)))
    chosen = [np.argsort(-first.parts[modality])[:count]]
    chosen += [rng.choice(len(parts), count, replace=False) for _ in range(DRAWS)]
    row = {name: rows[0] for name, rows in predictor.rows([one.post], [list(one.images)]).items()}
    removed = [parts.remove(np.isin(np.arange(len(parts)), numbers)) for numbers in chosen]
    rows = {name: removed if name == modality else [content] * len(removed) for name, content in row.items()}
    lost = first.score - predictor.score_rows(rows)[:, first.column]
    return float(lost[0]), float(lost[1:].mean())


def deletion(predictor: Predictor, found: Sequence[Explanation], seed: int) -> dict[str, dict[str, Any]]:
    """Compare removing what is on top with removing at random, for each modality."""
    rng = np.random.default_rng(seed)
    result = {}
    for modality in ("text", "image"):
        having = [one for one in found if len(one.parts.get(modality, ())) > 1]
        pairs = np.array([falls(predictor, one, modality, rng) for one in having])
        draws = pairs[rng.integers(0, len(pairs), (2000, len(pairs)))].mean(1)
        top, at_random = pairs.mean(0)
        ratios = np.quantile(draws[:, 0] / np.maximum(draws[:, 1], 1e-9), [0.025, 0.975])
        result[modality] = {
            "posts": len(pairs),
            "top": float(top),
            "random": float(at_random),
            "ratio": [float(top / max(at_random, 1e-9)), *map(float, ratios)],
        }
    return result


def randomised(predictor: Predictor, seed: int) -> Iterator[tuple[str, Predictor]]:
    """Yield the model with more and more of its weights permuted, from its end to its beginning."""
    backend = predictor.probabilities
    assert isinstance(backend, TorchBackend)
    model = copy.deepcopy(backend.model)
    encoded = [name for name, _ in model.named_parameters() if name.startswith("encoders.")]
    halves = {name for one in ("text", "image") for name in _last_half(encoded, f"encoders.{one}.")}
    rest = [name for name, _ in model.named_parameters() if name not in set(encoded)]
    generator = torch.Generator().manual_seed(seed)
    for stage, names in zip(STAGES, (rest, halves, set(encoded) - halves), strict=True):
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if name in names:
                    mixed = weights.flatten()[torch.randperm(weights.numel(), generator=generator)]
                    weights.copy_(mixed.view_as(weights))
        yield stage, replace(predictor, probabilities=replace(backend, model=model))


def _last_half(names: Sequence[str], prefix: str) -> list[str]:
    own = [name for name in names if name.startswith(prefix)]
    return own[len(own) // 2 :]


def likeness(found: Sequence[Explanation], others: Sequence[Explanation], modality: str) -> float:
    """Return the mean rank correlation of the attributions of the same score."""
    alike = []
    for one, other in zip(found, others, strict=True):
        column = one.attributions[0].column
        same = next((own for own in other.attributions if own.column == column), None)
        if same is not None and len(one.parts.get(modality, ())) > 2:
            alike.append(spearmanr(one.attributions[0].parts[modality], same.parts[modality]).statistic)
    return float(np.nanmean(alike)) if alike else float("nan")


def plant(folder: Path, modality: str, seed: int) -> tuple[Posts, dict[str, tuple[int, int, int, int]]]:
    """Return demo posts in which only a planted word or patch tells the label, and the place of each patch."""
    rng = random.Random(seed)
    made, places = [], {}
    for number, post in enumerate(read_posts(POSTS, split_column="split")):
        label = rng.choice(sorted(WORDS))
        changed = replace(post, label=label, where=f"post {number}")
        if modality == "text":
            words = (post.text or "a day").split()
            words.insert(rng.randint(0, len(words)), WORDS[label])
            changed = replace(changed, text=" ".join(words))
        elif isinstance(post.image, str | Path):
            with Image.open(post.image) as opened:
                image = opened.convert("RGB").resize((224, 224))
            left, top = rng.randrange(0, 224 - 48), rng.randrange(0, 224 - 48)
            ImageDraw.Draw(image).rectangle((left, top, left + 47, top + 47), fill=COLOURS[label])
            path = folder / f"{number}.png"
            image.save(path)
            places[changed.where] = (top, left, top + 48, left + 48)
            changed = replace(changed, image=str(path))
        else:
            continue
        made.append(changed)
    return Posts(made), places


def planted(modality: str, seed: int, progress: bool) -> dict[str, float]:
    """Train on planted posts; return the accuracy, and for each method how often what was planted is on top."""
    with tempfile.TemporaryDirectory() as temporary:
        posts, places = plant(Path(temporary), modality, seed)
        classifier = JointClassifier(seed=seed, progress=progress)
        held = posts.in_split("validation")
        classifier.fit(posts.in_split("train"), validation=held)
        result = {"accuracy": float(classifier.score(held))}
        for method in METHODS:
            found, _ = explain(classifier.predictor(), held, method)
            right = [one for one in found if one.target.response(one.answer)["label"] == one.post.label]
            result[method] = float(np.mean([on_top(one, modality, places) for one in right]))
    return result


def on_top(one: Explanation, modality: str, places: Mapping[str, tuple[int, int, int, int]]) -> bool:
    """Return whether the part with the greatest attribution is the planted word, or within the planted patch."""
    parts, best = one.parts[modality], int(np.argmax(one.attributions[0].parts[modality]))
    if modality == "text":
        return parts.names[best].casefold() == WORDS[str(one.post.label)]
    top, left, bottom, right = places[one.post.where]
    scale = one.images[0].shape[0] / 224
    rows, columns = np.nonzero(parts.index[0] == best)
    middle = rows.mean() / scale, columns.mean() / scale
    reach = 224 / 7 / 2  # a region that the patch touches has its middle at most so far from it
    return bool(top - reach <= middle[0] <= bottom + reach and left - reach <= middle[1] <= right + reach)


def main(options: Namespace) -> None:
    """Measure and print."""
    result: dict[str, Any] = {"circumstances": circumstances()}
    predictor = JointClassifier.load(options.bundle, device="cpu").set_params(progress=False).predictor()
    posts = read_posts(options.posts, split_column="split").in_split("validation")
    posts = posts[: options.count]
    rows = []
    for method in METHODS:
        found, seconds = explain(predictor, posts, method)
        result[method] = {"seconds": seconds, "deletion": deletion(predictor, found, options.seed), "randomised": {}}
        for stage, changed in randomised(predictor, options.seed):
            others = []
            for one in found[: options.count // 2]:
                # The changed model may answer otherwise: the label that was explained before is, too.
                label = predictor.labels[one.attributions[0].column]
                others += explain(changed, [one.post], method, [label])[0]
            alike = {name: likeness(found[: len(others)], others, name) for name in ("text", "image")}
            result[method]["randomised"][stage] = alike
        for modality, one in result[method]["deletion"].items():
            stages = [f"{alike[modality]:.2f}" for alike in result[method]["randomised"].values()]
            ratio = "{:.1f} ({:.1f} to {:.1f})".format(*one["ratio"])
            rows.append([f"{method}, {modality}", f"{one['top']:.3f}", f"{one['random']:.3f}", ratio, *stages])
        save(options.out, result)
    print(f"{len(posts)} posts; seconds a post: " + ", ".join(f"{m} {result[m]['seconds']:.2f}" for m in METHODS))
    show(["attributions", "falls by, top", "random", "ratio", *STAGES], rows)
    if options.planted:
        result["planted"] = {name: planted(name, options.seed, False) for name in ("text", "image")}
        save(options.out, result)
        header = ["planted", "accuracy", *(f"on top, {method}" for method in METHODS)]
        show(header, [[name, *(f"{value:.3f}" for value in one.values())] for name, one in result["planted"].items()])


if __name__ == "__main__":
    arguments = parser(__doc__, "explanations")
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("posts", type=Path)
    arguments.add_argument("--count", type=int, default=100, help="validation posts (default: 100)")
    arguments.add_argument("--seed", type=int, default=0, help="(default: 0)")
    arguments.add_argument("--no-planted", dest="planted", action="store_false", help="train nothing")
    main(arguments.parse_args())
