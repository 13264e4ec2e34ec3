"""Posts and labels: which are likely to be wrong, and which are there twice."""
