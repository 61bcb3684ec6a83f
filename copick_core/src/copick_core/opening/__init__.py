"""From a configuration to a root, and back to a file."""

from typing import TYPE_CHECKING, Any

from copick_core import deferred
from copick_core.opening.opening import (
    from_czcdp_datasets,
    from_czcdp_depositions,
    from_file,
    from_string,
    new_config,
    open,
    write_new,
)
from copick_core.opening.validation import adopt_locations, validated

if TYPE_CHECKING:
    from copick_core.opening.configs import load_config, save_config
    from copick_core.opening.nesting import Nested, nested

__all__ = [
    "Nested",
    "adopt_locations",
    "from_czcdp_datasets",
    "from_czcdp_depositions",
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

#: What opening a plain configuration needs nothing of is imported when it is used.
_HOMES = {
    "Nested": "copick_core.opening.nesting",
    "load_config": "copick_core.opening.configs",
    "nested": "copick_core.opening.nesting",
    "save_config": "copick_core.opening.configs",
}


def __getattr__(name: str) -> Any:
    return deferred(__name__, _HOMES, name)
