"""``python -m jointune``."""

from jointune.cli import main

main()
