"""A page in the browser to try a model on; nothing leaves the machine that shows it."""
