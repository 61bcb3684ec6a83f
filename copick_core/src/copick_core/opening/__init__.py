"""From a configuration to a root, and back to a file."""

from copick_core.opening.opening import (
    adopt_locations,
    from_czcdp_datasets,
    from_file,
    from_string,
    load_config,
    new_config,
    open,
    save_config,
    validated,
)

__all__ = [
    "adopt_locations",
    "from_czcdp_datasets",
    "from_file",
    "from_string",
    "load_config",
    "new_config",
    "open",
    "save_config",
    "validated",
]
