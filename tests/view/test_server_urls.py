"""From a key to a path and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.testing.samples import HOSTILE_NAMES, HOSTILE_RUNS
from copick_core.tree.keys import (
    FeaturesKey,
    FilamentsKey,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
)
from copick_view.server.urls import BadPathError, Target, path_of, target_of

from .conftest import get

KEYS = [
    (RunKey("TS_1"), None, "run/TS_1"),
    (TomogramKey("TS_1", 10.0, "wbp"), None, "tomogram/TS_1/wbp@10.0/"),
    (TomogramKey("TS_1", 7.84, "wbp", "12"), "portal", "tomogram;layer=portal;variant=12/TS_1/wbp@7.84/"),
    (FeaturesKey("TS_1", 10.0, "wbp", "sobel"), None, "features/TS_1/wbp@10.0:sobel/"),
    (SegmentationKey("TS_1", 10.0, "membrane", "alice", "1"), None, "segmentation/TS_1/membrane:alice/1@10.0/"),
    (
        SegmentationKey("TS_1", 10.0, "membrane", "alice", "1", "instance"),
        "overlay",
        "segmentation;layer=overlay;type=instance/TS_1/membrane:alice/1@10.0/",
    ),
    (ObjectKey("ribosome"), None, "object/ribosome/"),
    (PicksKey("TS_1", "ribosome", "alice", "1"), None, "picks/TS_1/ribosome:alice/1"),
    (MeshKey("TS 1", "membrane", "alice", "1"), "a;b/c", "mesh;layer=a%3Bb%2Fc/TS%201/membrane:alice/1"),
    (FilamentsKey("TS:1", "actin", "alice", "1"), None, "filaments/TS%253A1/actin:alice/1"),
]

names = st.text(st.characters(exclude_categories=["C"], exclude_characters="/\\"), min_size=1, max_size=20).filter(
    lambda name: not name.startswith(".")
)


@pytest.mark.parametrize(("key", "layer", "path"), KEYS)
def test_a_key_has_one_path_which_leads_back(key, layer, path):
    assert path_of(key, layer) == path
    assert target_of(path) == Target(key, layer)


@pytest.mark.parametrize(("key", "layer", "path"), [k for k in KEYS if k[2].endswith("/")])
def test_what_follows_the_path_of_a_volume_is_a_value(key, layer, path):
    assert target_of(f"{path}0/%7Bx%7D/.zarray") == Target(key, layer, "0/{x}/.zarray")


@given(run=names, name=names, user=names, session=names, layer=names)
def test_any_names_lead_back(run, name, user, session, layer):
    key = SegmentationKey(run, 10.0, name, user, session, "panoptic")

    assert target_of(path_of(key, layer)) == Target(key, layer)


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_refused(text):
    try:
        target = target_of(text)
    except BadPathError as error:
        assert str(error)  # noqa: PT017 - most texts are refused
    else:
        assert not {"..", "."} & {*target.value.split("/")}


@pytest.mark.parametrize("run", HOSTILE_RUNS)
def test_a_run_of_an_odd_name_is_served(root, run):
    from copick_view.server.serving import Server

    root.new_run(run).new_picks("ribosome", "0", "tool").from_numpy([[1.0, 2.0, 3.0]])
    with Server(root) as server:
        urls = {r["name"]: r["url"] for r in _json(get(server, "project"))["runs"]}
        entry = _json(get(server, urls[run]))["picks"][0]
        found = _json(get(server, entry["url"]))

    assert found["run_name"] == run


@pytest.mark.parametrize("user", HOSTILE_NAMES)
def test_a_user_of_an_odd_name_is_served(root, user):
    from copick_view.server.serving import Server

    root.new_run("TS_1").new_picks("ribosome", "0", user).from_numpy([[1.0, 2.0, 3.0]])
    with Server(root) as server:
        found = _json(get(server, _json(get(server, "run/TS_1"))["picks"][0]["url"]))

    assert found["user_id"] == user


def _json(answer):
    import json

    assert answer.status == 200
    return json.loads(answer.content)
