"""``python -m copick.cli``."""

from copick.cli.cli import main

main()
