"""Metrics and intervals, computed without torch."""
