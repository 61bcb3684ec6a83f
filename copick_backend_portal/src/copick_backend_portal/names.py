"""Names: how the portal's rows are called in a project. The same as copick 1.x, so that overlays keep working."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from copick_core.tree.names import sanitize_name

#: User of everything that comes from the portal.
PORTAL_USER = "data-portal"


def camel(text: str) -> str:
    """Write a portal term in camel case.

    Example:
        >>> camel("WBP"), camel("Fourier_Space"), camel("Topaz-Denoise v0.2")
        ('wbp', 'fourierSpace', 'topazDenoiseV0.2')
    """
    words = re.sub(r"(_|-)+", " ", text).title().replace(" ", "")
    return words[:1].lower() + words[1:]


def tomo_type(row: Mapping[str, Any]) -> str:
    """Type of a portal tomogram: method, processing, software and CTF correction.

    Characters that file names cannot hold become ``-``, as in every name of a project.

    Example:
        >>> tomo_type({"reconstructionMethod": "SIRT", "processing": "filtered", "processingSoftware": "imod/Tomo3D"})
        'sirt-filtered-imod-Tomo3D'
    """
    parts = [camel(str(row["reconstructionMethod"])), camel(str(row["processing"]))]
    if row.get("processingSoftware"):
        parts.append(camel(str(row["processingSoftware"])))
    if row.get("ctfCorrected"):
        parts.append("ctfdeconv")
    return sanitize_name("-".join(parts), suppress_warnings=True)
