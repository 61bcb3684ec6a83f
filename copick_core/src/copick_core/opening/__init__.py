"""From a configuration to a root, and back to a file."""

from copick_core.opening.configs import load_config, save_config
from copick_core.opening.nesting import Nested, nested
from copick_core.opening.opening import from_czcdp_datasets, from_file, from_string, new_config, open, write_new
from copick_core.opening.validation import adopt_locations, validated

__all__ = [
    "Nested",
    "adopt_locations",
    "from_czcdp_datasets",
    "from_file",
    "from_string",
    "load_config",
    "nested",
    "new_config",
    "open",
    "save_config",
    "validated",
    "write_new",
]
