"""Shared and private parts."""

import torch

from jointune.fusion.splitting import separation_loss, similarity_loss

X, Y, Z = torch.eye(3).unsqueeze(1)


def test_parts_at_right_angles_are_separate():
    torch.testing.assert_close(separation_loss((X, X), (Y, 4 * Z)), torch.zeros(1))


def test_parts_that_overlap_are_not():
    torch.testing.assert_close(separation_loss((X, X), (3 * X, -X)), torch.ones(1))
    torch.testing.assert_close(separation_loss((X, X), (X, Y)), torch.full((1,), 1 / 3))
    torch.testing.assert_close(separation_loss((X, X), (Y, Y)), torch.full((1,), 1 / 3))


def test_shared_parts_are_to_say_the_same():
    torch.testing.assert_close(similarity_loss((X, 5 * X)), torch.zeros(1))
    torch.testing.assert_close(similarity_loss((X, Y)), torch.ones(1))
    torch.testing.assert_close(similarity_loss((X, -X)), torch.full((1,), 2.0))
