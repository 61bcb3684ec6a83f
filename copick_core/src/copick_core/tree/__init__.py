"""Addresses, values and file names of a project; pure, no storage."""
