"""One module per file format: each turns a file into rows, and knows nothing of posts."""
