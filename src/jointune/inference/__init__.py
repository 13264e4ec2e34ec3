"""Scoring posts with a trained model, whatever runs it."""
