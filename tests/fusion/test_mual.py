"""Cross-modal attention with a difference loss."""

import torch

from jointune.fusion.mual import difference_loss


def test_the_loss_is_the_distance_in_direction():
    along, across = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    torch.testing.assert_close(difference_loss(along, (7 * along, along)), torch.zeros(1))
    torch.testing.assert_close(difference_loss(along, (across, across)), torch.ones(1))
    torch.testing.assert_close(difference_loss(along, (along, across)), torch.full((1,), 0.5))
    torch.testing.assert_close(difference_loss(along, (-along, -along)), torch.full((1,), 2.0))
