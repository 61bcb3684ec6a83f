"""The demonstration: a scene, what is found in it, and the picture of it."""
