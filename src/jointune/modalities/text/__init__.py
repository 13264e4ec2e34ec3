"""Texts: normalised, tokenized, and measured against what the encoder takes."""
