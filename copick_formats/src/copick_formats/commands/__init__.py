"""``copick-core import`` and ``copick-core export``."""
