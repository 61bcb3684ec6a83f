"""A terminal browser of a project: what is in it, where it is stored, and keys for what is done with it."""
