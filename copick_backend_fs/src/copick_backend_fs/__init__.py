"""Filesystem backend of copick-core: local folders, S3, SSH and everything else that fsspec reaches."""

__version__ = "0.1.0"
