"""The losses that fusions bring along, and what all of them have in common."""

import pytest
import torch

from jointune.encoders.encoder_output import EncoderOutput
from jointune.fusion.fused import Fused
from jointune.fusion.registry import make_fusion

WITH_LOSS = ["mual", "splitting"]
DIMS = {"text": 12, "image": 20}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def random_outputs(posts: int) -> dict[str, EncoderOutput]:
    return {
        name: EncoderOutput(
            torch.randn(posts, length, dim), torch.ones(posts, length, dtype=torch.bool), torch.randn(posts, dim)
        )
        for (name, dim), length in zip(DIMS.items(), (5, 4), strict=True)
    }


def fuse(fusion: torch.nn.Module, posts: int, present: torch.Tensor | None = None) -> Fused:
    both = torch.ones(posts, 2, dtype=torch.bool)
    return fusion(random_outputs(posts), both if present is None else present)


@pytest.mark.parametrize("name", WITH_LOSS)
def test_gradients_reach_every_parameter(name):
    fusion = make_fusion(name, DIMS)
    fused = fuse(fusion, 3)
    (fused.vectors.sin().sum() + fused.loss).backward()
    assert fused.vectors.shape == (3, fusion.dim)
    assert [which for which, one in fusion.named_parameters() if one.grad is None or not one.grad.any()] == []


@pytest.mark.parametrize("name", WITH_LOSS)
def test_the_loss_is_small_and_that_of_posts_with_both_modalities(name):
    fusion = make_fusion(name, DIMS).eval()
    outputs = random_outputs(4)
    present = torch.tensor([[True, True], [True, False], [True, True], [False, False]])

    def loss(which: slice) -> torch.Tensor:
        chosen = {name: EncoderOutput(*(one[which] for one in output[:3])) for name, output in outputs.items()}
        return fusion(chosen, present[which]).loss.detach()

    whole = loss(slice(4))
    assert 0 < whole < 0.3
    parts = torch.stack([loss(slice(post, post + 1)) for post in range(4)])
    assert (parts > 0).tolist() == [True, False, True, False]
    torch.testing.assert_close(parts.mean(), whole)  # a step in parts has the same loss


@pytest.mark.parametrize("name", WITH_LOSS)
def test_without_a_pair_the_loss_is_zero_and_has_a_graph(name):
    fused = fuse(make_fusion(name, DIMS), 2, torch.tensor([[True, False], [False, True]]))
    assert fused.loss == 0
    fused.loss.backward()


@pytest.mark.parametrize("name", WITH_LOSS)
def test_the_loss_goes_down(name):
    fusion = make_fusion(name, DIMS).eval()
    outputs, present = random_outputs(6), torch.ones(6, 2, dtype=torch.bool)
    optimizer = torch.optim.AdamW(fusion.parameters(), lr=1e-3)
    losses = []
    for _ in range(40):
        loss = fusion(outputs, present).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
