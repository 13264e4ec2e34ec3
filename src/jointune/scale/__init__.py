"""More posts and experiments than one process takes: parts of an input, and Ray clusters."""
