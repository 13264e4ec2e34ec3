"""From posts to arrays: tokens, pixels, and the batches of both. NumPy only, so that scoring needs no torch."""
