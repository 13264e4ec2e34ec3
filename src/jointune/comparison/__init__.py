"""The same posts, folds and seeds given to several methods, with paired intervals."""
