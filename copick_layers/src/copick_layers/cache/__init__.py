"""The wrapper ``cache``: keeps on local disk what is read from a layer."""
