"""Sounds: decoded to one channel at the rate of an audio encoder. No torch."""
