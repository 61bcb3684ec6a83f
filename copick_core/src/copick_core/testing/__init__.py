"""The conformance kit: what a backend must do, as tests that its author subclasses.

* :class:`LayerTests`: one writable layer (:mod:`copick_core.testing.layers`);
* :class:`BackendTests`: whole projects on a backend (:mod:`copick_core.testing.backends`);
* :class:`StaticBackendTests`: places that are only read (:mod:`copick_core.testing.static`);
* :mod:`copick_core.testing.wrappers`: layers that count, delay, fail or refuse, for tests of your own.

A check that fails quotes the sentence of the contract that is broken and says what was seen. Needs
``pip install "copick-core[testing]"``.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{room}"
        for room in (
            "layer_base",
            "layer_listing",
            "layer_places",
            "layer_records",
            "layer_storage",
            "layer_volumes",
            "layer_replacements",
            "layer_writes",
            "layers",
            "machines",
            "project_base",
            "project_filaments",
            "project_hierarchy",
            "project_kills",
            "project_leaves",
            "project_layers",
            "project_machine",
            "backends",
            "static",
        )
    )
)

from copick_core.testing.backends import BackendTests  # noqa: E402 - rewriting is registered first
from copick_core.testing.contract import ContractBroken  # noqa: E402 - rewriting is registered first
from copick_core.testing.layers import LayerTests  # noqa: E402 - rewriting is registered first
from copick_core.testing.static import StaticBackendTests  # noqa: E402 - rewriting is registered first

__all__ = ["BackendTests", "ContractBroken", "LayerTests", "StaticBackendTests"]
