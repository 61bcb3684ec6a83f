"""The plugin for napari: opens an address of a project as layers, and stores points and labels back.

What napari loads it by is ``copick_view/napari.yaml`` (npe2); nothing here is imported before napari reads or writes.
"""
