"""The layers of the file system backend: local folders (``local``), and everything that fsspec reaches (``remote``)."""
