"""The command line of copick."""
