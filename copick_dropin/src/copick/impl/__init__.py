"""The backends of copick, by the names of their classes."""
