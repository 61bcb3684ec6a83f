"""Functions of copick that work on projects."""
