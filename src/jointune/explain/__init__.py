"""Explanations: why a model answered a post as it did."""
