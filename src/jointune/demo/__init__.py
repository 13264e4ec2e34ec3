"""Demo data: made-up posts, embedded so that everything can be tried without posts of one's own."""

from pathlib import Path

POSTS = Path(__file__).parent / "data" / "posts.csv"
"""300 demo posts; see the README.md beside them."""
