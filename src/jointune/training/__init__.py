"""The recipe: one training loop, its checkpoints, and inference."""
