"""``python -m copick.cli``."""

from copick.cli.cli import main

if __name__ == "__main__":
    main()
