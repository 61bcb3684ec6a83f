"""The wrapper ``index``: one file that knows every entity of a layer."""
