"""The map of names in docs/from-copick-1.md is true, and the drop-in has what tools use."""

from __future__ import annotations

import pytest

from support.copick_names import names_in, page, written

pytestmark = pytest.mark.slow


def test_the_page_of_names_is_what_both_packages_have(reference_env, dropin_env):
    made = page(names_in(reference_env), names_in(dropin_env))

    assert written() == made


def test_no_public_member_of_an_entity_is_missing(reference_env, dropin_env):
    theirs, ours = (names_in(python)["copick.models"] for python in (reference_env, dropin_env))
    missing = {name for name in theirs if "." in name and name not in ours}

    # Validators of pydantic models, which nobody calls.
    assert {name for name in missing if not name.split(".")[1].startswith(("validate_", "none_to_"))} == set()
