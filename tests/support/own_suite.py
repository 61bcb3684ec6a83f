"""Plugin of pytest for copick's own suite: sets aside what is not compared, each test with the reason as its mark.

Loaded with ``-p own_suite`` in the environments of both copicks. Nothing here is imported by our own tests.
"""

from __future__ import annotations

import re
import sys

import pytest

#: What is set aside: a pattern of test ids, and why.
ASIDE = (
    (r"^test_mlcroissant\.py|\[mlcroissant|[Cc]roissant", "mlcroissant"),
    (r"^test_portal_cache\.py|^test_cache_cli\.py", "the removed disk cache"),
    (r"\[ssh[]_-]", "an SSH server in Docker"),
    (r"\[s3[]_-]", "the same on an S3 server"),
)


def reason(nodeid: str) -> str | None:
    """Why a test is set aside, or None."""
    name = nodeid.rpartition("tests/")[2]
    return next((why for pattern, why in ASIDE if re.search(pattern, name)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sys.modules["conftest"].CLEANUP = False  # type: ignore[attr-defined]  # projects stay: the released copick reads them
    for item in items:
        why = reason(item.nodeid)
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=f"set aside: {why}"))
