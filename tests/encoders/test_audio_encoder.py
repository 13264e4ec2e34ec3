"""Audio encoders of each kind, random and tiny: what goes in, what comes out, and what is refused."""

import json

import numpy as np
import pytest
import torch
import transformers as t

from helpers.small_sounds import ENCODERS, RATE, make_audio_encoder, tone
from jointune.encoders.audio_encoder import build_audio_encoder, load_audio_encoder
from jointune.errors import EncoderError, SettingsError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("audio-encoders")
    return {kind: make_audio_encoder(kind, root / kind) for kind in ENCODERS}


def tensors(preprocessor, *sounds):
    return {name: torch.from_numpy(values) for name, values in preprocessor.collate(sounds).items()}


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_is_loaded_built_again_and_cut(kind, folders):
    encoder, preprocessor, description = load_audio_encoder(folders[kind], "sound", 0.6)
    again = build_audio_encoder(json.loads(json.dumps(description)), preprocessor)
    again.load_state_dict(encoder.state_dict())
    inputs = tensors(preprocessor, tone(300, 0.2), tone(900, 0.5))
    encoder.eval()
    again.eval()
    with torch.no_grad():
        output, rebuilt = encoder(inputs), again(inputs)
        torch.testing.assert_close(rebuilt.pooled, output.pooled, rtol=0, atol=0)
        assert output.tokens.shape == (2, output.mask.shape[1], encoder.dim)
        alone = encoder(tensors(preprocessor, tone(300, 0.2)))
        torch.testing.assert_close(alone.pooled[0], output.pooled[0], rtol=0, atol=1e-4)
        encoder.freeze_lower(1)
        assert encoder.split is not None, "its frozen layers can be cached"
        cached = encoder.resume(encoder.activations(inputs), inputs)
    torch.testing.assert_close(cached.pooled, output.pooled, rtol=0, atol=0)
    assert any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("kind", ["whisper", "ast"])
def test_spectrograms_are_those_of_transformers(kind, folders):
    encoder, preprocessor, _ = load_audio_encoder(folders[kind], "sound", 0.6)
    random = np.random.default_rng(0)
    sound = (tone(440, 0.5) + random.normal(0, 900, RATE // 2)).astype(np.int16)
    extractor = t.AutoFeatureExtractor.from_pretrained(folders[kind])
    theirs = extractor(sound / np.float32(32768), sampling_rate=RATE, return_tensors="pt")
    expected = theirs["input_features" if kind == "whisper" else "input_values"]
    ours = encoder.front(*tensors(preprocessor, sound).values())
    torch.testing.assert_close(ours, expected.float(), rtol=1e-3, atol=2e-3)


def test_samples_are_normalised_as_transformers_does(folders):
    encoder, preprocessor, _ = load_audio_encoder(folders["wav2vec2"], "sound")
    sounds = [tone(300, 0.2), tone(500, 0.4) // 3]
    extractor = t.AutoFeatureExtractor.from_pretrained(folders["wav2vec2"])
    theirs = extractor([s / np.float32(32768) for s in sounds], sampling_rate=RATE, return_tensors="pt", padding=True)
    ours = encoder.front(*tensors(preprocessor, *sounds).values())
    torch.testing.assert_close(ours, theirs["input_values"], rtol=1e-3, atol=1e-4)


def test_encoders_that_cannot_be_used_are_refused(folders, tiny_text, tmp_path):
    with pytest.raises(SettingsError, match=r"audio_seconds=5.*takes 1 at most"):
        load_audio_encoder(folders["whisper"], "sound", 5)
    with pytest.raises(EncoderError, match="no such folder"):
        load_audio_encoder(str(tmp_path / "nowhere"), "sound")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_audio_encoder(tiny_text, "sound")
    mixed = tmp_path / "mixed"
    t.BertModel.from_pretrained(tiny_text).save_pretrained(mixed)
    t.Wav2Vec2FeatureExtractor().save_pretrained(mixed)
    with pytest.raises(EncoderError, match="BertModel with a Wav2Vec2FeatureExtractor, which jointune does not know"):
        load_audio_encoder(str(mixed), "sound")


def test_training_draws_nothing_from_numpy(folders):
    encoder, preprocessor, _ = load_audio_encoder(folders["wav2vec2"], "sound")
    encoder.train()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    encoder(tensors(preprocessor, tone(300, 0.2)))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
