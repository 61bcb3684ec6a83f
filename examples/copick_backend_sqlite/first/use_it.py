"""Open the table as a project."""

import copick_backend_first

import copick_core
from copick_core import plugins

plugins.register(copick_backend_first.copick_backend())
ribosome = {"name": "ribosome", "is_particle": True, "label": 1}
root = copick_core.open({"config_type": "first", "path": "picks.sqlite", "pickable_objects": [ribosome]})
picks = root.get_run("TS_001").get_picks(user_id="bob")[0]
print(picks, picks.numpy()[0])
