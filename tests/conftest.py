"""Tiny random encoders, tiny posts, and one tiny trained bundle, all made once a session and without a network."""

import csv
import gc
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ["JOINTUNE_CACHE"] = "off"  # tests of the caches name a folder of their own

import pytest
import torch
from hypothesis import settings
from PIL import Image, ImageDraw
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

settings.register_profile("any machine", deadline=None)  # how long an example takes is no matter of these tests
settings.load_profile("any machine")

SHARED = Path(__file__).parents[2] / "shared"
MVSA = SHARED / "data" / "mvsa" / "posts.csv"
WORDS = "good bad fine awful happy sad lunch train sun rain the a we my today it was is and but so very not".split()  # noqa: SIM905

TOWER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXT_TOWER = TOWER | {
    "vocab_size": 40,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
IMAGE_TOWER = TOWER | {"image_size": 32, "patch_size": 8}

needs_mvsa = pytest.mark.skipif(not MVSA.exists(), reason=f"the real posts are not at {MVSA}")


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_open():
    """What a module's tests left unclosed is told with the last of them, not with whatever test runs later."""
    yield
    gc.collect()
    gc.freeze()  # what is left, imports above all, need not be looked through again


class SumFusion(torch.nn.Module):
    """A custom fusion without anything random."""

    def __init__(self, dims):
        super().__init__()
        self.projections = torch.nn.ModuleDict({name: torch.nn.Linear(width, 8) for name, width in dims.items()})
        self.dim = 8

    def forward(self, outputs, present):
        return sum(project(outputs[name].pooled) for name, project in self.projections.items())


def make_tokenizer_folder(folder: Path) -> None:
    """A word-level tokenizer in the layout of a Hugging Face folder."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    ).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a random BERT of one layer."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoders") / "tiny-bert"
    make_tokenizer_folder(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def four_layers(tmp_path):
    """Folder of a text encoder that has layers to tell apart."""
    from transformers import BertConfig, BertModel

    make_tokenizer_folder(tmp_path)
    config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.fixture(scope="session")
def tiny_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a random ViT of one layer that takes 32 x 32 pixels."""
    from transformers import ViTConfig, ViTImageProcessorPil, ViTModel

    folder = tmp_path_factory.mktemp("encoders") / "tiny-vit"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=32,
            patch_size=8,
        )
        ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def draw(path: Path, colour: str, number: int) -> None:
    """A small picture in one colour; ``number`` makes its content unique."""
    picture = Image.new("RGB", (40, 36), colour)
    ImageDraw.Draw(picture).rectangle(
        (number % 7, number % 11, number % 7 + 4, number % 11 + 4), fill=(number % 256, 0, 0)
    )
    picture.save(path)


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    """A CSV file of ``rows``."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_posts(folder: Path, count: int = 48) -> Path:
    """``posts.csv`` with pictures beside it: the words and the colour tell the label; the split column is filled."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for number in range(count):
        good = number % 2 == 0
        words = (
            f"{'good happy' if good else 'bad awful'} {WORDS[6 + number % 10]} {WORDS[10 + number // 2 % 12]} {number}"
        )
        name = f"{number}.png"
        draw(folder / name, "yellow" if good else "navy", number)
        split = ("train", "train", "train", "train", "validation", "test")[number // 2 % 6]
        rows.append(
            {"id": number, "text": words, "image": name, "label": "positive" if good else "negative", "split": split}
        )
    return write_rows(folder / "posts.csv", rows)


@pytest.fixture(scope="session")
def posts_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 tiny posts with two labels; read only."""
    return make_posts(tmp_path_factory.mktemp("posts"))


@pytest.fixture
def fresh_posts(tmp_path: Path) -> Callable[..., Path]:
    """Makes posts that a test may change: ``fresh_posts(count=48)``."""
    return lambda count=48: make_posts(tmp_path / "posts", count)


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CLIP checkpoint, with tokenizer and preprocessing."""
    import transformers as t

    folder = tmp_path_factory.mktemp("dual") / "tiny-clip"
    make_tokenizer_folder(folder)
    config = t.CLIPConfig(text_config=TEXT_TOWER, vision_config=IMAGE_TOWER | {"hidden_size": 24}, projection_dim=8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.CLIPModel(config).save_pretrained(folder)
    square = {"height": 32, "width": 32}
    t.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=square).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_siglip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A SigLIP checkpoint, with tokenizer and preprocessing."""
    import transformers as t

    folder = tmp_path_factory.mktemp("dual") / "tiny-siglip"
    make_tokenizer_folder(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        t.SiglipModel(t.SiglipConfig(text_config=TEXT_TOWER, vision_config=IMAGE_TOWER)).save_pretrained(folder)
    t.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["tiny_clip", "tiny_siglip"])
def dual(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def tiny_settings(tiny_text: str, tiny_image: str) -> dict[str, object]:
    """Arguments of a classifier that trains in a second."""
    return {
        "text_encoder": tiny_text,
        "image_encoder": tiny_image,
        "epochs": 2,
        "epoch_steps": 1,
        "batch_size": 8,
        "encoder_lr": 1e-3,
        "head_lr": 1e-2,
        "precision": "fp32",
        "progress": False,
    }


@pytest.fixture(scope="session")
def parts(posts_csv: Path) -> tuple[object, object, object]:
    """The posts of ``posts_csv``: to learn from, for validation, and as test."""
    from jointune import read_posts

    posts = read_posts(posts_csv, split_column="split")
    return posts.in_split("train"), posts.in_split("validation"), posts.in_split("test")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_settings: dict[str, object], posts_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle trained on ``posts_csv``; read only."""
    from jointune import JointClassifier, read_posts

    posts = read_posts(posts_csv, split_column="split")
    classifier = JointClassifier(**tiny_settings)
    classifier.fit(posts.in_split("train"), validation=posts.in_split("validation"))
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    classifier.save(folder)
    return folder


@pytest.fixture(scope="session")
def exported_model(tiny_bundle: Path, posts_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny_bundle`` exported; read only."""
    pytest.importorskip("onnxruntime", reason="the extra serve is not installed")
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    from jointune import JointClassifier, read_posts
    from jointune.export.exporter import export

    folder = tmp_path_factory.mktemp("exports") / "tiny"
    export(JointClassifier.load(tiny_bundle, device="cpu"), folder, posts=read_posts(posts_csv))
    return folder


@pytest.fixture(scope="session")
def cells_here() -> Callable[[], AbstractContextManager[object]]:
    """Within ``with cells_here():`` the cells of a comparison run in this process, which need not load torch anew.

    They are sent and stored as ever; what fails in one is raised.
    """
    from unittest.mock import patch

    def run(job, bar):
        import cloudpickle

        from jointune.comparison.cells import load_result, save_result
        from jointune.comparison.worker import run_cell

        sent = cloudpickle.loads(cloudpickle.dumps(job))
        save_result(run_cell(sent), job.folder)
        return load_result(job.cell, job.folder)

    return lambda: patch("jointune.comparison.grid.run_apart", run)


@pytest.fixture
def jointune() -> Callable[..., tuple[int, str]]:
    """Runs the command line in this process: ``code, said = jointune("check", path)``."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from jointune.cli.app import main

    def run(*arguments: object) -> tuple[int, str]:
        said = StringIO()
        code = 0
        with redirect_stdout(said), redirect_stderr(said):
            try:
                main(list(map(str, arguments)))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        return code, said.getvalue()

    return run


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``predict`` and ``embed`` score eight posts at a time from now on, or as many as ``small_chunks(64)`` says."""
    from helpers.small_chunks import loading_with

    def set_size(posts: int) -> None:  # no option of the command does
        for module in ("output.predicted_table", "cli.embed"):
            monkeypatch.setattr(f"jointune.{module}.load_predictor", loading_with(posts))

    set_size(8)
    return set_size


@pytest.fixture
def refused(jointune: Callable[..., tuple[int, str]]) -> Callable[..., str]:
    """Runs a command that must fail with a clear message: ``refused("check", path, code=1, says=["row 3", "empty"])``.

    Any error that is not one of ours passes through the command line and fails the test by itself.
    """

    def run(*arguments: object, says: tuple[str, ...] | list[str], code: int = 2) -> str:
        got, said = jointune(*arguments)
        assert got == code, said
        assert "Traceback" not in said
        assert not [part for part in says if part not in said], said
        return said

    return run
