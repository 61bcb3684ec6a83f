"""A project in the browser: its volumes, meshes and annotations, drawn by neuroglancer, and edited."""
