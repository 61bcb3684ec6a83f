"""The names of copick 2.0 over copick-core, so that tools and scripts that were written for copick run unchanged.

It takes the place of the released ``copick`` in an environment: it has the same distribution name, import name and command.
``copick --version`` tells which one is installed.
"""

from copick import _installation
from copick._version import __version__

_installation.refuse_a_mixture()

from copick import models  # noqa: E402 # not from a folder where half of it is the released copick
from copick.models import COPICK_TYPES  # noqa: E402
from copick.ops.open import from_croissant, from_czcdp_datasets, from_file, from_string, new_config  # noqa: E402

__all__ = [
    "COPICK_TYPES",
    "__version__",
    "from_croissant",
    "from_czcdp_datasets",
    "from_file",
    "from_string",
    "models",
    "new_config",
]
