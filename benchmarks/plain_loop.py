"""The loop one would write by hand with torch and transformers: python benchmarks/plain_loop.py POSTS [options].

What jointune's recipe is measured against. The model is the same: encoders, weights, fusion and head come from
jointune's loaders, with its batch normalisation folded already. All else is what tutorials do: a DataLoader whose
workers open and resize each picture in each epoch, texts padded to 128 tokens, 32-bit floats, AdamW with a warm-up and
a cosine, a validation after each epoch. Seconds count from before the encoders are loaded; the result is written anew
after each epoch, so that an interrupted run leaves what it has.
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from results import circumstances, parser, save, show
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import get_cosine_schedule_with_warmup

from jointune.data.post import Posts
from jointune.data.read import read_posts
from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.modalities.image.pixels import ImagePreprocessor
from jointune.modalities.text.tokens import TextPreprocessor
from jointune.model import Inputs, JointModel, make_model

Example = tuple[str, np.ndarray, int]


class PostsDataset(Dataset[Example]):
    """Text, pixels and class number of each post; an empty text or a black picture where there is none."""

    def __init__(self, posts: Posts, classes: list[str], image: ImagePreprocessor, augment: bool) -> None:
        self.posts, self.classes, self.image, self.augment = posts, classes, image, augment

    def __len__(self) -> int:
        return len(self.posts)

    def __getitem__(self, index: int) -> Example:
        post = self.posts[index]
        picture = Image.open(post.image).convert("RGB") if post.image else Image.new("RGB", self.image.resize[::-1])
        prepared = self.image.prepare(picture)
        if self.augment:
            vertical, horizontal, mirror = torch.rand(3).tolist()
            pixels = self.image.crop(prepared, (vertical, horizontal))
            pixels = pixels[:, ::-1] if mirror < 0.5 else pixels
        else:
            pixels = self.image.crop(prepared)
        return post.text or "", pixels, self.classes.index(post.label or "")


class Collate:
    """Examples to a batch: texts padded to one length, pixels and labels stacked."""

    def __init__(self, text: TextPreprocessor) -> None:
        self.text = text

    def __call__(self, examples: Sequence[Example]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Token ids and masks, pixels uint8 [B, H, W, 3], labels [B]."""
        texts, pixels, labels = zip(*examples, strict=True)
        tokens = self.text.collate(self.text.encode(texts))
        text = {name: torch.from_numpy(values) for name, values in tokens.items()}
        return text, torch.from_numpy(np.stack(pixels)), torch.tensor(labels)


def logits(model: JointModel, text: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Return the logits of posts that have both modalities."""
    return model(
        Inputs(torch.ones(len(pixels), 2, dtype=torch.bool), {"text": text, "image": {"pixels": pixels}})
    ).logits


def validate(model: JointModel, batches: DataLoader) -> dict[str, float]:
    """Accuracy and macro F1."""
    model.eval()
    predicted, truth = [], []
    with torch.inference_mode():
        for text, pixels, labels in batches:
            predicted += logits(model, text, pixels).argmax(1).tolist()
            truth += labels.tolist()
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, average="macro")),
    }


def main(options: Namespace) -> None:
    """Train, and write the scores after each epoch."""
    posts = read_posts(options.posts, split_column=options.split_column)
    learned, held = posts.in_split("train"), posts.in_split("validation")
    classes = sorted({str(label) for label in learned.labels})
    torch.manual_seed(options.seed)

    began = time.perf_counter()
    text_encoder, text, _ = load_text_encoder("minilm-l6")
    image_encoder, image, _ = load_image_encoder("efficientnet-lite0")
    model = make_model({"text": text_encoder, "image": image_encoder}, options.fusion, len(classes))
    collate = Collate(replace(text, fixed_length=options.padding == "max-length"))

    def loader(part: Posts, training: bool) -> DataLoader:
        return DataLoader(
            PostsDataset(part, classes, image, augment=training),
            options.batch_size,
            shuffle=training,
            collate_fn=collate,
            num_workers=options.workers,
            persistent_workers=options.workers > 0,
        )

    training, checking = loader(learned, True), loader(held, False)
    encoders = [*text_encoder.parameters(), *image_encoder.parameters()]
    rest = [*model.fusion.parameters(), *model.head.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": encoders, "lr": options.encoder_lr}, {"params": rest, "lr": options.head_lr}]
    )
    steps = options.epochs * len(training)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
    settings = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    log: list[dict[str, float]] = []
    for epoch in range(1, options.epochs + 1):
        model.train()
        for tokens, pixels, labels in training:
            torch.nn.functional.cross_entropy(logits(model, tokens, pixels), labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        scores = validate(model, checking)
        log.append({"epoch": epoch, "seconds": time.perf_counter() - began} | scores)
        save(options.out, {"circumstances": circumstances(), "settings": settings, "log": log})
    print(f"{len(learned)} posts to learn from, {len(held)} to validate on, {torch.get_num_threads()} threads\n")
    show(
        ["epoch", "seconds", "validation accuracy", "macro F1"],
        [[e["epoch"], f"{e['seconds']:.0f}", f"{e['accuracy']:.4f}", f"{e['macro_f1']:.4f}"] for e in log],
    )


if __name__ == "__main__":
    arguments = parser(__doc__, "plain_loop")
    arguments.add_argument("posts", type=Path, help="a table of posts, its pictures as paths")
    arguments.add_argument("--split-column", default="split", help="where train and validation are named")
    arguments.add_argument("--epochs", type=int, default=10)
    arguments.add_argument("--batch-size", type=int, default=32)
    arguments.add_argument("--encoder-lr", type=float, default=5e-5)
    arguments.add_argument("--head-lr", type=float, default=1e-3)
    arguments.add_argument("--fusion", default="gated")
    arguments.add_argument("--padding", choices=["max-length", "longest"], default="max-length")
    arguments.add_argument("--workers", type=int, default=2, help="processes that read pictures")
    arguments.add_argument("--seed", type=int, default=0)
    main(arguments.parse_args())
