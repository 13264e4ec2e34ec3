"""Export: one graph that says what torch says, of any encoders and fusion, or a refusal that leaves nothing behind."""

import json
import stat
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from conftest import SumFusion, make_tokenizer_folder
from encoders.test_loading import IMAGE_MODELS, TEXT_MODELS, save
from jointune import JointClassifier, OutputError, Post, read_posts
from jointune.data.post import Posts
from jointune.export.agreement import (
    Agreement,
    compare_with_torch,
    logits_on,
    partly_hidden,
    refuse_difference,
    torch_logits,
)
from jointune.export.exporter import export, report_table
from jointune.export.graph import quantize, write_graph
from jointune.fusion.fused import Fused
from jointune.fusion.registry import NAMED, make_fusion
from jointune.inference.onnx_backend import GRAPH, VERIFIED, WEIGHTS, ExportedModel, load_exported
from jointune.modalities.batch import collate


def ready(classifier: JointClassifier) -> JointClassifier:
    """The classifier with vectors for what is missing and a temperature, as training leaves them."""
    with torch.no_grad():
        for vector in classifier.model_.missing.values():
            vector.normal_()
        classifier.model_.temperature.fill_(1.5)
    return classifier


def fitted(settings: dict[str, object], posts_csv, **changes: object) -> JointClassifier:
    posts = read_posts(posts_csv, split_column="split")
    classifier = JointClassifier(**settings | {"epochs": 0} | changes)
    return ready(classifier.fit(posts.in_split("train"), validation=posts.in_split("validation")))


def mixes(posts: Posts) -> list[Posts]:
    """Parts in which all, some or none have a text and a picture, of one post and of many."""
    text, image = posts.without("image"), posts.without("text")
    some = Posts([posts[0], text[1], image[2], text[3], posts[4], image[5]])
    return [posts[:7], text[:3], image[:3], some, Posts([posts[0]]), Posts([text[0]]), Posts([image[0]])]


def assert_same(classifier: JointClassifier, folder, posts: Posts, tolerance: float = 1e-4) -> None:
    predictor = classifier.predictor()
    graph = ExportedModel(folder / "model.onnx", predictor.target, predictor.preprocessors, threads=1)
    for part in mixes(posts):
        said = logits_on(part, predictor, {"torch": torch_logits(classifier.model_), "graph": graph.logits})
        np.testing.assert_allclose(said["graph"], said["torch"], atol=tolerance, rtol=1e-5)


@pytest.fixture(scope="module")
def posts(posts_csv) -> Posts:
    return read_posts(posts_csv)[:12]


class EveryFusion(torch.nn.Module):
    """All fusions side by side, and one of one's own: following the encoders takes seconds, each fusion none."""

    def __init__(self, dims):
        super().__init__()
        self.fusions = torch.nn.ModuleList(
            make_fusion(fusion, dims) for fusion in (*NAMED, SumFusion) if fusion != ALONE
        )
        self.dim = sum(fusion.dim for fusion in self.fusions)

    def forward(self, outputs, present):
        joint = [fusion(outputs, present) for fusion in self.fusions]
        return torch.cat([one.vectors if isinstance(one, Fused) else one for one in joint], 1)


ALONE = "single-stream"  # it is no module after the encoders, but changes one


def test_pictures_as_tokens_of_the_text_encoder(tiny_settings, posts_csv, posts, tmp_path):
    classifier = fitted(tiny_settings, posts_csv, fusion=ALONE)
    write_graph(classifier.model_, classifier.predictor().preprocessors, tmp_path / "model.onnx")
    assert_same(classifier, tmp_path, posts)


# Positions from the tokens, attention within windows, positions added to attention, texts of one length;
# windows of pixels, convolutions of two kinds, and a transformer. Other tests have BERT and ViT.
FAMILIES = [
    ("roberta", "swin", EveryFusion),
    ("modernbert", "convnext", "mual"),
    ("t5", "resnet", "cross-attention"),
    ("siglip", "siglip", "mual"),
]


@pytest.mark.parametrize(("words", "eyes", "fusion"), FAMILIES)
def test_every_fusion_and_encoders_of_several_families(tiny_settings, posts_csv, posts, tmp_path, words, eyes, fusion):
    make_tokenizer_folder(tmp_path / "words")
    text = save(TEXT_MODELS[words](), tmp_path / "words")
    make, processor = IMAGE_MODELS[eyes]
    image = save(make(), tmp_path / "eyes")
    size = {"shortest_edge": 32} if "shortest_edge" in dict(processor().size) else {"height": 32, "width": 32}
    crop = {"crop_size": {"height": 32, "width": 32}} if getattr(processor(), "do_center_crop", False) else {}
    processor(size=size, **crop).save_pretrained(tmp_path / "eyes")
    classifier = fitted(tiny_settings, posts_csv, text_encoder=text, image_encoder=image, fusion=fusion)
    write_graph(classifier.model_, classifier.predictor().preprocessors, tmp_path / "model.onnx")
    assert_same(classifier, tmp_path, posts)


class UndecidedFusion(SumFusion):
    """What it does depends on values, which no graph can follow."""

    def forward(self, outputs, present):
        joint = super().forward(outputs, present)
        return joint if joint.sum() > 0 else -joint


def test_a_model_that_no_graph_can_follow_is_not_written(tiny_settings, posts_csv, posts, tmp_path):
    classifier = fitted(tiny_settings, posts_csv, fusion=UndecidedFusion)
    says = r"cannot be written as a graph: .*its fusion is UndecidedFusion\); what a module does may not depend on"
    classifier.model_.train()
    before = {name: value.clone() for name, value in classifier.model_.state_dict().items()}
    with pytest.raises(OutputError, match=says):
        export(classifier, tmp_path / "model", posts=posts)
    assert not list(tmp_path.iterdir())
    assert classifier.model_.training, "the classifier is left as it was"
    assert all(torch.equal(before[name], value) for name, value in classifier.model_.state_dict().items())


@pytest.fixture(scope="module")
def classifier(tiny_bundle) -> JointClassifier:
    return JointClassifier.load(tiny_bundle, device="cpu")


@pytest.fixture(scope="module")
def int8_graph(exported_model, tmp_path_factory):
    graph = tmp_path_factory.mktemp("int8") / "model.onnx"
    quantize(exported_model / "model.onnx", graph)
    return graph


def compared(classifier, posts, **graphs):
    """What ``export`` finds of graphs of this classifier."""
    predictor = classifier.predictor()
    runs = {
        name: ExportedModel(graph, predictor.target, predictor.preprocessors).logits for name, graph in graphs.items()
    }
    return compare_with_torch(runs, classifier.model_, predictor, posts)


def test_the_folder_has_all_that_scoring_needs(exported_model, classifier, posts_csv, posts):
    names = {file.name for file in exported_model.iterdir()}
    further = {"conformity.json", "unlike.npz"}
    assert names == {*VERIFIED, *further, "manifest.json", "README.md", "learned_posts.json"}
    assert all(stat.S_IMODE(file.stat().st_mode) & 0o044 for file in exported_model.iterdir())
    report = json.loads((exported_model / "export.json").read_text())["export"]["check"]
    assert report["fp32"]["same"] == 1
    assert report["fp32"]["accuracy"] == classifier.evaluate(posts_csv).accuracy
    assert report["fp32"]["bytes"] == sum((exported_model / name).stat().st_size for name in (GRAPH, WEIGHTS))
    assert "| fp32 |" in (exported_model / "README.md").read_text()
    assert b"site-packages" not in (exported_model / GRAPH).read_bytes()

    rows = [one.probabilities for one in load_exported(exported_model).stream(posts)]
    np.testing.assert_allclose(rows, classifier.predict_proba(posts), atol=1e-5)


def test_int8_costs_a_little(exported_model, int8_graph, classifier, posts):
    report = compared(classifier, posts, fp32=exported_model / "model.onnx", int8=int8_graph)
    assert report["int8"].difference > report["fp32"].difference
    assert report["int8"].same > 0.8
    assert b"MatMulNBits" in int8_graph.read_bytes()


@pytest.mark.parametrize(
    ("part", "by", "says"),
    [
        ("head.bias", 0.01, r"differs from torch's by 0.0\d+ on 12 posts, more than 0.001"),
        # These show only where something is missing.
        ("missing.text", 1, "differs from torch's by"),
        ("missing.image", 1, "differs from torch's by"),
    ],
)
def test_a_graph_that_says_something_else_is_refused(exported_model, classifier, posts, tmp_path, part, by, says):
    assert all(post.text and post.image for post in posts)
    values = classifier.model_.get_parameter(part)
    before = values.detach().clone()
    with torch.no_grad():
        values.add_(by)
    try:
        report = compared(classifier, posts, fp32=exported_model / "model.onnx")
    finally:
        with torch.no_grad():
            values.copy_(before)
    with pytest.raises(OutputError, match=says):
        refuse_difference(tmp_path / "model", report, allow_loss=100)


@pytest.mark.parametrize("count", [1, 40, 300])
def test_some_are_tried_without_their_text_and_others_without_their_picture(count):
    posts = Posts([Post(text=str(n), image=b"picture", label="x") for n in range(count)] + [Post(text="alone")])
    tried = partly_hidden(posts)
    assert list(tried) == list(partly_hidden(posts))
    texts, images = [post for post in tried if not post.images], [post for post in tried if post.text is None]
    albums = [post for post in tried if len(post.images) == 2]
    assert len(texts) == len(images) == len(albums) == min(count, 32)
    assert len(tried) == 3 * len(texts)
    assert "alone" not in {post.text for post in texts}


def test_int8_that_costs_too_much_is_refused(tmp_path):
    precise = Agreement(12, 1e-6, 1.0, {"accuracy": 0.75, "macro_f1": 0.7})
    for rounded in (replace(precise, same=0.9), replace(precise, same=0.9, scores={"accuracy": 0.5})):
        with pytest.raises(OutputError, match=r"in int8, 10.0 % of 12 posts get another answer.* 1 are allowed"):
            refuse_difference(tmp_path, {"fp32": precise, "int8": rounded}, allow_loss=1)
    refuse_difference(
        tmp_path, {"fp32": precise, "int8": replace(precise, same=0.9, scores={"accuracy": 0.65})}, allow_loss=10
    )
    with pytest.raises(OutputError, match=r"and 25.0 points of accuracy are lost"):
        refuse_difference(
            tmp_path, {"fp32": precise, "int8": replace(precise, scores={"accuracy": 0.5})}, allow_loss=10
        )


def test_posts_with_labels_of_their_own_are_compared_without_scores(exported_model, classifier, posts):
    others = Posts((replace(post, label="other") for post in posts), "others")
    report = compared(classifier, others, fp32=exported_model / "model.onnx")["fp32"]
    assert (report.scores, report.same) == ({}, 1)
    assert report_table({"fp32": asdict(report) | {"bytes": 1}})[-1].endswith("| 100.0 % |")


def test_posts_with_neither_text_nor_picture_still_score(classifier, exported_model):
    predictor = classifier.predictor()
    graph = ExportedModel(exported_model / "model.onnx", predictor.target, predictor.preprocessors)
    batch = collate([0, 1], {"text": [None, None], "image": [None, None]}, predictor.preprocessors)
    np.testing.assert_allclose(graph.logits(batch), torch_logits(classifier.model_)(batch), atol=1e-5)
