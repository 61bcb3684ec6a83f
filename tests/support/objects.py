"""Objects of the projects that tests make."""

OBJECTS = [
    {"name": "ribosome", "is_particle": True, "label": 1, "color": [230, 60, 60, 255], "radius": 120.0},
    {"name": "membrane", "is_particle": False, "label": 2, "color": [60, 160, 230, 255]},
    {"name": "proteasome", "is_particle": True, "label": 7},
]
