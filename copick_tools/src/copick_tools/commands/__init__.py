"""The commands for everyday work: each is a thin layer over a function."""
