"""One module per file format: each reads a file as rows, and knows nothing of posts."""
