"""One encoder may be run by several threads at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from helpers.small_models import make
from jointune.encoders.efficientnet_lite import EfficientNetLiteConfig, EfficientNetLiteModel
from jointune.encoders.hidden_states import spread_layers
from jointune.encoders.image_encoder import ImageEncoder
from jointune.encoders.text_encoder import TextEncoder
from jointune.modalities.image.pixels import ImagePreprocessor

THREADS = 8


def make_encoder(name):
    if name == "efficientnet_lite":
        model, dim = EfficientNetLiteModel(EfficientNetLiteConfig(width=0.3, image_size=32)), 1280
    else:
        model, dim = make(name), 16
    if name in ("bert", "modernbert"):
        return TextEncoder(model, ("input_ids", "attention_mask"), dim)
    return ImageEncoder(model, ImagePreprocessor((32, 32), (32, 32)), dim)


def make_inputs(encoder, seed):
    random = torch.Generator().manual_seed(seed)
    posts, length = seed % 3 + 1, seed % 5 + 4
    if isinstance(encoder, ImageEncoder):
        return torch.randint(0, 256, (posts, 32, 32, 3), generator=random, dtype=torch.uint8)
    ids = torch.randint(5, 40, (posts, length), generator=random)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("name", ["bert", "modernbert", "vit", "resnet", "efficientnet_lite"])
def test_each_thread_gets_its_own_result(name):
    encoder = make_encoder(name)
    encoder.freeze_lower(2)
    encoder.use_hidden_layers(spread_layers(encoder.model, 1))
    assert encoder.split is not None
    assert len(encoder.widths) == 2
    encoder.eval()
    modules = list(encoder.modules())
    inputs = [make_inputs(encoder, seed) for seed in range(THREADS)]
    start = Barrier(THREADS)

    def predict(batch, repeats=1):
        with torch.no_grad():
            results = []
            for _ in range(repeats):
                results += [encoder(batch), encoder.resume(encoder.activations(batch), batch)]
            return results

    def predict_at_once(batch):
        start.wait(timeout=60)
        return predict(batch, repeats=10)

    alone = [predict(batch)[0] for batch in inputs]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(predict_at_once, inputs))
    for expected, results in zip(alone, together, strict=True):
        for result in results:
            for name, value, other in zip(expected._fields, expected, result, strict=True):
                torch.testing.assert_close(other, value, msg=name)
    assert [id(module) for module in encoder.modules()] == [id(module) for module in modules]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
