"""Texts are read, and tokens pooled, as a sentence-transformers folder says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from jointune.encoders.loading import build_text_encoder, load_text_encoder
from jointune.encoders.text_encoder import POOLINGS
from jointune.errors import EncoderError, JointuneWarning, SettingsError
from jointune.modalities.text.tokens import TextPreprocessor

TEXTS = ["good lunch today", "so", "The train was NOT very bad but awful sad rain"]
OLD_NAMES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


@pytest.fixture
def make_folder(tiny_text, tmp_path):
    """Makes a sentence-transformers folder of the tiny BERT: ``make_folder(pooling, modules, about, whole)``."""

    def make(pooling=None, modules=("Transformer", "Pooling"), about=None, whole=None, inside=""):
        model = tmp_path / inside
        shutil.copytree(tiny_text, model, dirs_exist_ok=True)
        paths = [inside, *(f"{number}_{kind}" for number, kind in enumerate(modules[1:], start=1))]
        listed = [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (kind, path) in enumerate(zip(modules, paths, strict=True))
        ]
        (tmp_path / "modules.json").write_text(json.dumps(listed))
        (tmp_path / "1_Pooling").mkdir()
        settings = pooling or {"pooling_mode_mean_tokens": True}
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16} | settings))
        (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 48} | (about or {})))
        (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(whole or {}))
        return str(tmp_path)

    return make


def pooled(encoder, preprocessor, texts=TEXTS):
    batch = preprocessor.collate(preprocessor.encode(texts))
    with torch.no_grad():
        states = encoder.eval()({name: torch.from_numpy(values) for name, values in batch.items()})
    return states, states.pooled.numpy()


def of_sentence_transformers(folder):
    library = pytest.importorskip("sentence_transformers")
    return library.SentenceTransformer(folder, device="cpu").encode(TEXTS)


@pytest.mark.parametrize("how", POOLINGS)
@pytest.mark.parametrize("named", ["before 6", "since 6"])
@pytest.mark.filterwarnings("error::jointune.errors.JointuneWarning")
def test_tokens_are_pooled_as_the_folder_says(how, named, make_folder):
    folder = make_folder({OLD_NAMES[how]: True} if named == "before 6" else {"pooling_mode": how})
    encoder, preprocessor, description = load_text_encoder(folder)
    states, ours = pooled(encoder, preprocessor)
    tokens, mask = states.tokens.numpy(), states.mask.numpy()
    for row, vector in enumerate(ours):
        real = tokens[row][mask[row]]
        places = np.arange(1, len(real) + 1)[:, None]
        wanted = {
            "cls": real[0],
            "max": real.max(0),
            "mean": real.mean(0),
            "mean_sqrt_len_tokens": real.sum(0) / np.sqrt(len(real)),
            "weightedmean": (real * places).sum(0) / places.sum(),
            "lasttoken": real[-1],
        }[how]
        np.testing.assert_allclose(vector, wanted, atol=1e-5)
    rebuilt = build_text_encoder(json.loads(json.dumps(description)), preprocessor)
    rebuilt.load_state_dict(encoder.state_dict())
    np.testing.assert_allclose(pooled(rebuilt, preprocessor)[1], ours, atol=1e-6)


@pytest.mark.parametrize("how", POOLINGS)
def test_vectors_are_those_of_sentence_transformers(how, make_folder):
    whole = {"prompts": {"topic": "the lunch : "}, "default_prompt_name": "topic"}
    folder = make_folder({OLD_NAMES[how]: True}, about={"do_lower_case": True}, whole=whole)
    encoder, preprocessor, _ = load_text_encoder(folder)
    np.testing.assert_allclose(pooled(encoder, preprocessor)[1], of_sentence_transformers(folder), atol=1e-5)


def test_prompt_and_case_are_kept_in_the_bundle(make_folder, tmp_path):
    whole = {"prompts": {"topic": "the lunch : "}, "default_prompt_name": "topic"}
    _, preprocessor, _ = load_text_encoder(make_folder(about={"do_lower_case": True}, whole=whole))
    (tmp_path / "kept.json").write_text(preprocessor.tokenizer.to_str())
    kept = TextPreprocessor.load(tmp_path / "kept.json", json.loads(json.dumps(preprocessor.config())))
    for one in (preprocessor, kept):
        assert one.encode(["GOOD"])[0].ids.tolist() == one.tokenizer.encode("the lunch : good").ids


def test_older_bundles_have_neither(tiny_text):
    _, preprocessor, _ = load_text_encoder(tiny_text)
    old = {name: value for name, value in preprocessor.config().items() if name not in ("prompt", "lowercase")}
    kept = TextPreprocessor.load(Path(tiny_text) / "tokenizer.json", old)
    assert kept.encode(["good"])[0].ids.tolist() == preprocessor.encode(["good"])[0].ids.tolist()


def test_texts_are_as_long_as_the_folder_says(make_folder):
    folder = make_folder()
    assert load_text_encoder(folder)[1].max_tokens == 48
    assert load_text_encoder(folder, max_tokens=64)[1].max_tokens == 64
    with pytest.raises(SettingsError, match="4 to 64"):
        load_text_encoder(folder, max_tokens=65)


def test_the_model_may_be_in_a_folder_inside(make_folder):
    folder = make_folder({"pooling_mode_cls_token": True}, inside="0_Transformer")
    encoder, preprocessor, _ = load_text_encoder(folder)
    states, vectors = pooled(encoder, preprocessor)
    assert preprocessor.max_tokens == 48
    np.testing.assert_allclose(vectors, states.tokens[:, 0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modules": ("Transformer", "Pooling", "Normalize")}, "length 1"),
        ({"modules": ("Transformer", "Pooling", "Dense")}, "Dense"),
        ({"pooling": {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}}, "cls and max"),
        ({"pooling": {"pooling_mode": "attention"}}, "attention"),
        ({"whole": {"prompts": {"query": "the ", "document": ""}}}, r"prompts \(query\)"),
        (
            {
                "whole": {"prompts": {"query": "the "}, "default_prompt_name": "query"},
                "pooling": {"pooling_mode": "mean", "include_prompt": False},
            },
            "prompt",
        ),
    ],
)
def test_what_is_not_followed_is_said(change, said, make_folder):
    folder = make_folder(**change)
    with pytest.warns(JointuneWarning, match=said):
        _, _, description = load_text_encoder(folder)
    assert len(description["notes"]) == 1


def test_notes_are_kept_with_the_model(make_folder, tiny_settings, posts_csv):
    from jointune import JointClassifier

    folder = make_folder(modules=("Transformer", "Pooling", "Normalize"))
    with pytest.warns(JointuneWarning, match="length 1"):
        classifier = JointClassifier(**tiny_settings | {"text_encoder": folder}).fit(posts_csv, validation=0.2)
    assert sum("length 1" in note for note in classifier.notes_) == 1
    assert "notes" not in classifier.encoders_["text"]


def test_modules_without_a_transformer_are_refused(make_folder):
    with pytest.raises(EncoderError, match="module BoW"):
        load_text_encoder(make_folder(modules=("BoW", "Pooling")))


def test_a_broken_file_is_named(make_folder):
    folder = make_folder()
    (Path(folder) / "modules.json").write_text("[")
    with pytest.raises(EncoderError, match=r"modules\.json is not JSON"):
        load_text_encoder(folder)
