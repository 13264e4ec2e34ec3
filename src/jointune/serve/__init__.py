"""The service: one bundle behind HTTP. Neither torch nor transformers is imported here."""
