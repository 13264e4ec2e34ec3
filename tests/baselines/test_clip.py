"""The two towers of one checkpoint, fine-tuned jointly."""

import pickle

import numpy as np
import pytest
import torch
import transformers as t
from sklearn.base import clone

from jointune import EncoderError, JointClassifier, SettingsError, read_posts
from jointune.baselines.clip import ENCODER_LR, FromCheckpoint, clip_classifier
from jointune.encoders.loading import load_image_encoder, load_projections, load_text_encoder
from jointune.fusion.registry import make_fusion


@pytest.fixture
def settings(tiny_settings) -> dict[str, object]:
    return {name: value for name, value in tiny_settings.items() if not name.endswith("_encoder")}


def test_the_projections_are_those_of_the_checkpoint(tiny_clip):
    model = t.CLIPModel.from_pretrained(tiny_clip)
    found = load_projections(tiny_clip)
    torch.testing.assert_close(found.text, model.text_projection.weight.detach())
    torch.testing.assert_close(found.image, model.visual_projection.weight.detach())
    assert found.scale == pytest.approx(model.logit_scale.exp().item())


def test_siglip_needs_no_projections(tiny_siglip):
    model = t.SiglipModel.from_pretrained(tiny_siglip)
    found = load_projections(tiny_siglip)
    torch.testing.assert_close(found.text, torch.eye(16))
    torch.testing.assert_close(found.image, torch.eye(16))
    assert found.scale == pytest.approx(model.logit_scale.exp().item())


def test_what_is_no_dual_encoder_is_named(tiny_text, tmp_path):
    with pytest.raises(EncoderError, match="BertModel: a dual encoder is needed"):
        load_projections(tiny_text)
    with pytest.raises(EncoderError, match="no such folder"):
        load_projections(str(tmp_path / "nowhere"))


def test_the_fusion_starts_from_the_cosines_of_the_checkpoint(dual):
    towers = load_text_encoder(dual)[0].dim, load_image_encoder(dual)[0].dim
    fusion = FromCheckpoint(dual)(*towers).eval()
    text, preprocessor, _ = load_text_encoder(dual)
    image = load_image_encoder(dual)[0].eval()
    tokens = {name: torch.from_numpy(row) for name, row in preprocessor.collate(preprocessor.encode(["good"])).items()}
    pixels = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = t.AutoModel.from_pretrained(dual).eval()
    with torch.no_grad():
        joint = fusion(text.eval()(tokens), image(pixels), torch.ones(1, 2, dtype=torch.bool))
        normalised = (pixels.permute(0, 3, 1, 2).float() - image.mean) / image.std
        inputs = {name: tokens[name] for name in preprocessor.inputs}
        theirs = model(**inputs, pixel_values=normalised)
    cosine = (theirs.text_embeds * theirs.image_embeds).sum()
    product = joint.chunk(4, dim=-1)[2].mean()
    torch.testing.assert_close(product, cosine, atol=1e-3, rtol=1e-2)


def test_other_towers_than_the_checkpoints_are_refused(tiny_clip):
    with pytest.raises(SettingsError, match="for encoders 16 and 24 wide, not 16 and 99"):
        FromCheckpoint(tiny_clip)(16, 99)
    with pytest.raises(SettingsError, match="fusion, text_encoder: the checkpoint"):
        clip_classifier(tiny_clip, fusion="concat", text_encoder="minilm-l6")


def test_it_can_be_cloned_pickled_and_set(tiny_clip):
    classifier = clip_classifier(tiny_clip, epochs=3)
    assert classifier.encoder_lr == ENCODER_LR
    assert clip_classifier(tiny_clip, encoder_lr=1e-3).encoder_lr == 1e-3
    assert clone(classifier).get_params() == classifier.get_params()
    assert pickle.loads(pickle.dumps(classifier.fusion)) == classifier.fusion


def test_it_learns_and_its_bundle_needs_no_checkpoint(dual, settings, posts_csv, tmp_path):
    posts = read_posts(posts_csv)
    classifier = clip_classifier(dual, **settings | {"epochs": 8}).fit(posts, validation=0.2)
    assert classifier.evaluate(posts).accuracy > 0.9
    classifier.save(tmp_path / "bundle")
    loaded = JointClassifier.load(tmp_path / "bundle")
    np.testing.assert_array_equal(loaded.predict_proba(posts), classifier.predict_proba(posts))
    assert loaded.fusion == f"dual:{loaded.model_.fusion.text.out_features}"
    loaded.save(tmp_path / "again")
    rows = [{"text": "good"}, {"image": posts_csv.parent / "1.png"}]
    again = JointClassifier.load(tmp_path / "again")
    np.testing.assert_allclose(again.predict_proba(rows), classifier.predict_proba(rows), atol=1e-6)


def test_the_width_of_a_named_fusion():
    assert make_fusion("dual:8", 16, 24).dim == 32
    assert make_fusion("gated:64", 16, 24).dim == 64
    for name, said in {
        "dual:": "comes a width",
        "dual:0": "comes a width",
        "dual:wide": "comes a width",
        "cross-attention:20": "a multiple of 8",
        "paper:64": "not for choice",
        "single-stream:64": "not for choice",
        "duel:64": "choose one of",
    }.items():
        with pytest.raises(SettingsError, match=said):
            make_fusion(name, 16, 24)


def test_its_projections_are_trained_at_the_rate_of_its_towers(tiny_clip, posts_csv):
    """They come pre-trained too."""
    posts = read_posts(posts_csv, split_column="split")
    settings = {"epochs": 1, "batch_size": 16, "precision": "fp32", "probe": False, "progress": False, "head_lr": 1e-2}
    before = load_projections(tiny_clip).text
    still = clip_classifier(tiny_clip, encoder_lr=0.0, **settings)
    still.fit(posts.in_split("train"), validation=posts.in_split("validation"))
    torch.testing.assert_close(still.model_.fusion.text.weight, before)
    moved = clip_classifier(tiny_clip, encoder_lr=1e-2, **settings)
    moved.fit(posts.in_split("train"), validation=posts.in_split("validation"))
    assert not torch.allclose(moved.model_.fusion.text.weight, before)
