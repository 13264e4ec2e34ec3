"""Scored rows, written."""
