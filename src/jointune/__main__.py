"""``python -m jointune``."""

from jointune.cli.app import main

main()
