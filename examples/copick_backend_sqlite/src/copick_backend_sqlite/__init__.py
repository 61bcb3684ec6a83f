"""A whole copick project in one SQLite file."""
