"""Two projections into one space."""

import torch

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.dual import DualFusion


def pooled(text: torch.Tensor, image: torch.Tensor) -> dict[str, EncoderOutput]:
    return {
        name: EncoderOutput(vectors.unsqueeze(1), torch.ones(len(vectors), 1, dtype=torch.bool), vectors)
        for name, vectors in {"text": text, "image": image}.items()
    }


def test_only_directions_count_and_products_sum_to_the_cosine():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fusion = DualFusion({"text": 6, "image": 5}, dim=16).eval()
        text, image = torch.randn(3, 6), torch.randn(3, 5)
    present = torch.ones(3, 2, dtype=torch.bool)
    with torch.no_grad():
        joint = fusion(pooled(text, image), present)
        torch.testing.assert_close(fusion(pooled(5 * text, 3 * image), present), joint, rtol=1e-3, atol=1e-3)
        cosines = torch.cosine_similarity(fusion.text(text), fusion.image(image))
    t, i, product, difference = joint.chunk(4, dim=-1)
    torch.testing.assert_close(product.mean(1), cosines, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(t.square().mean(1), torch.ones(3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(difference, t - i)


def test_the_vector_of_a_missing_modality_may_start_at_zero():
    fusion = DualFusion({"text": 6, "image": 5}, dim=16)
    missing = torch.zeros(2, 6, requires_grad=True)
    fusion(pooled(missing, torch.ones(2, 5)), torch.tensor([[False, True]] * 2)).sum().backward()
    assert missing.grad.isfinite().all()
    assert missing.grad.abs().max() < 1e5
