"""Volumes as OME-Zarr: pyramids, chunks, regions, labels."""
