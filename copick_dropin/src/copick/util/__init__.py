"""Functions of copick that need no project."""
