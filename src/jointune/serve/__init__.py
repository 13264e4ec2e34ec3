"""One bundle behind HTTP. Neither torch nor transformers is imported here."""
