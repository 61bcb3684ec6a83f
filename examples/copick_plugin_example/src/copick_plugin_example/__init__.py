"""A command, a file format and a layer wrapper for copick-core: the example of docs/writing-a-plugin.md."""
