"""Every weight of an encoder comes from its checkpoint, whatever wrapper named it; one that would not is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers as t
from safetensors.torch import load_file, save_file

from jointune.encoders.loading import load_image_encoder, load_text_encoder
from jointune.errors import EncoderError, JointuneWarning


@pytest.fixture
def checkpoint(four_layers):
    """Folder of a BERT of four layers, with its weights by name."""
    folder = Path(four_layers)
    return folder, load_file(folder / "model.safetensors")


def rewrite(folder, weights):
    save_file(
        {name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )


def loaded(folder):
    return load_text_encoder(str(folder))[0].model.state_dict()


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)


RENAMED = {
    "DataParallel": lambda name: f"module.{name}",
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "DeepSpeed": lambda name: f"_forward_module.{name}",
    "compiled in parallel": lambda name: f"_orig_mod.module.{name}",
    "one part compiled": lambda name: name.replace("encoder.", "encoder._orig_mod."),
    "FSDP": lambda name: (
        "_fsdp_wrapped_module."
        + name.replace("attention.", "_fsdp_wrapped_module._checkpoint_wrapped_module.attention.").replace(
            "output.", "_orig_mod.output."
        )
    ),
    "a task's model": lambda name: f"bert.{name}",
    "a trainer's model": lambda name: f"model.bert.{name}",
    "one's own class": lambda name: f"student.text_encoder.{name}",
}


@pytest.mark.parametrize("wrapper", RENAMED)
@pytest.mark.filterwarnings("error::jointune.errors.JointuneWarning")
def test_names_of_wrappers_are_seen_through(wrapper, checkpoint):
    folder, weights = checkpoint
    wanted = loaded(folder)
    rewrite(folder, {RENAMED[wrapper](name): value for name, value in weights.items()})
    assert_same(loaded(folder), wanted)


def test_a_torch_file_is_seen_through_too(checkpoint):
    folder, weights = checkpoint
    wanted = loaded(folder)
    (folder / "model.safetensors").unlink()
    torch.save({f"module.{name}": value for name, value in weights.items()}, folder / "pytorch_model.bin")
    assert_same(loaded(folder), wanted)


def test_shards_are_seen_through_too(checkpoint):
    folder, weights = checkpoint
    wanted = loaded(folder)
    (folder / "model.safetensors").unlink()
    names, places = sorted(weights), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({f"module.{name}": weights[name].contiguous() for name in part}, folder / file, {"format": "pt"})
        places |= {f"module.{name}": file for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    assert_same(loaded(folder), wanted)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_missing_layers_are_refused_by_name_and_number(prefix, checkpoint):
    folder, weights = checkpoint
    rewrite(
        folder, {prefix + name: value for name, value in weights.items() if not name.startswith("encoder.layer.2.")}
    )
    lacking = sum(name.startswith("encoder.layer.2.") for name in weights)
    with pytest.raises(EncoderError, match=rf"lacks {lacking} of \d+ weights .*encoder\.layer\.2\."):
        load_text_encoder(str(folder))


def test_names_that_fit_nowhere_are_refused(checkpoint):
    folder, weights = checkpoint
    rewrite(folder, {name.replace(".", "/"): value for name, value in weights.items()})
    with pytest.raises(EncoderError, match=r"would stay random.*fit nowhere: embeddings/LayerNorm/bias"):
        load_text_encoder(str(folder))


def test_two_encoders_in_a_file_are_not_guessed_between(checkpoint):
    folder, weights = checkpoint
    rewrite(
        folder, {f"{side}.{name}": value.clone() for name, value in weights.items() for side in ("query", "passage")}
    )
    with pytest.raises(EncoderError, match=r"several encoders, named passage\., query\."):
        load_text_encoder(str(folder))


def test_other_shapes_are_refused(checkpoint):
    folder, weights = checkpoint
    name = "embeddings.word_embeddings.weight"
    rewrite(folder, weights | {name: weights[name][:30]})
    with pytest.raises(EncoderError, match=rf"{name} is 30 x 16 there, and 40 x 16"):
        load_text_encoder(str(folder))


def test_layers_that_are_not_used_are_said(checkpoint):
    folder, weights = checkpoint
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    unused = sum(name.startswith("encoder.layer.3.") for name in weights)
    with pytest.warns(JointuneWarning, match=f"more layers than its config.json says; {unused} weights are not used"):
        _, _, description = load_text_encoder(str(folder))
    assert len(description["notes"]) == 1


@pytest.mark.filterwarnings("error::jointune.errors.JointuneWarning")
def test_a_head_that_is_not_used_is_nothing_to_say(four_layers):
    folder = Path(four_layers)
    model = t.BertForMaskedLM.from_pretrained(folder)
    model.save_pretrained(folder)
    assert_same(loaded(folder), dict(model.bert.state_dict()))


def test_a_decoder_that_is_missing_is_no_matter(tmp_path, tiny_text):
    """Only the encoder of an encoder-decoder is used."""
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(tiny_text) / file, tmp_path)
    model = t.T5EncoderModel(t.T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2))
    model.save_pretrained(tmp_path)
    found = load_text_encoder(str(tmp_path))[0].model.state_dict()
    for name, value in model.encoder.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_towers_need_only_their_own_weights(tiny_clip, tmp_path):
    folder = tmp_path / "clip"
    shutil.copytree(tiny_clip, folder)
    weights = load_file(folder / "model.safetensors")
    rewrite(folder, {f"module.{name}": value for name, value in weights.items() if name.startswith("vision")})
    load_image_encoder(str(folder))
    with pytest.raises(EncoderError, match=r"CLIPText.*would stay random"):
        load_text_encoder(str(folder))


def test_an_adapter_is_not_taken_for_a_model(four_layers, tmp_path):
    peft = pytest.importorskip("peft")
    base = t.BertModel.from_pretrained(four_layers, add_pooling_layer=False)
    peft.get_peft_model(base, peft.LoraConfig(target_modules=["query"])).save_pretrained(tmp_path / "adapter")
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(four_layers) / file, tmp_path / "adapter")
    with pytest.raises(EncoderError, match=r"adapter|cannot be loaded"):
        load_text_encoder(str(tmp_path / "adapter"))


def test_a_prefixed_checkpoint_trains_to_the_same_scores(tiny_text, tiny_settings, posts_csv, tmp_path):
    from jointune import JointClassifier

    folder = tmp_path / "prefixed"
    shutil.copytree(tiny_text, folder)
    rewrite(folder, {f"module.{name}": value for name, value in load_file(folder / "model.safetensors").items()})
    losses = {
        JointClassifier(**tiny_settings | {"text_encoder": str(text)}).fit(posts_csv, validation=0.2).metrics_.log_loss
        for text in (tiny_text, folder)
    }
    assert len(losses) == 1
