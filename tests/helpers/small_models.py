"""Random models of three layers, of many architectures."""

import torch
import transformers as t

SMALL = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
WORDS = {"vocab_size": 40, "max_position_embeddings": 64, "pad_token_id": 0}
EYES = SMALL | {"image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 12, 16], "depths": [1, 2, 1]}
CONFIGS = {
    "bert": t.BertConfig(**SMALL, **WORDS),
    "distilbert": t.DistilBertConfig(vocab_size=40, dim=16, n_layers=3, n_heads=2, hidden_dim=32),
    "mpnet": t.MPNetConfig(**SMALL, **WORDS),
    "deberta": t.DebertaV2Config(**SMALL, **WORDS, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "modernbert": t.ModernBertConfig(**SMALL, **WORDS),
    "vit": t.ViTConfig(**EYES),
    "dinov2": t.Dinov2Config(**EYES),
    "clip": t.CLIPVisionConfig(**EYES),
    "resnet": t.ResNetConfig(embedding_size=8, **STAGES),
    "convnext": t.ConvNextConfig(num_stages=3, **STAGES),
    "regnet": t.RegNetConfig(embedding_size=8, groups_width=4, **STAGES),
}


def make(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return t.AutoModel.from_config(CONFIGS[name])


def inputs_of(model):
    words = "input_ids" in model.forward.__code__.co_varnames or model.main_input_name == "input_ids"
    return {"input_ids": torch.randint(5, 40, (2, 6))} if words else {"pixel_values": torch.rand(2, 3, 32, 32)}
