"""Changes that page and server make at the same moment."""

from __future__ import annotations

from copick_view.viewer.merging import merged


def _state(**layers):
    return {"position": [0, 0, 0], "layers": [{"name": name, "annotations": found} for name, found in layers.items()]}


def _point(name, x=0):
    return {"id": name, "point": [x, 0, 0]}


def test_points_that_both_added_are_there():
    now = merged(_state(a=[_point("p")]), _state(a=[_point("p"), _point("page")]), _state(a=[_point("p"), _point("server")]))

    assert [a["id"] for a in now["layers"][0]["annotations"]] == ["p", "server", "page"]


def test_a_point_that_the_page_deleted_or_moved_stays_so():
    base = _state(a=[_point("p"), _point("q")])

    now = merged(base, _state(a=[_point("q", 5)]), {**base, "position": [1, 1, 1]})

    assert now == {"position": [1, 1, 1], "layers": [{"name": "a", "annotations": [_point("q", 5)]}]}


def test_a_layer_that_the_server_added_is_kept_and_one_that_the_page_closed_is_gone():
    now = merged(_state(a=[], b=[]), _state(b=[]), _state(a=[], b=[], c=[]))

    assert [layer["name"] for layer in now["layers"]] == ["b", "c"]


def test_where_the_page_looks_counts():
    now = merged(_state(), {**_state(), "position": [3, 2, 1]}, {**_state(), "position": [9, 9, 9], "title": "t"})

    assert (now["position"], now["title"]) == ([3, 2, 1], "t")
