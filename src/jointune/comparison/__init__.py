"""Compare methods on the same posts, folds and seeds, with paired intervals."""
