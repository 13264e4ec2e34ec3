"""Searching for settings that suit one's own posts better than the default recipe does."""
