import gc
import importlib
import json
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from copick_core.errors import InvalidDataError
from copick_core.picks import PicksArrays, collector, decode, decoding, encode, encoding, from_arrays
from copick_core.picks.collector import collector_paused
from copick_core.tree.schema import CopickPicksFile
from support.locks import waits_for

HEADER = {"pickable_object_name": "ribosome", "user_id": "ana", "session_id": "1"}
IDENTITY = np.eye(4).tolist()

# As copick 1.31.0 writes it: four spaces, every key, a null voxel spacing.
REFERENCE_FILE = """{
    "pickable_object_name": "beta-tubulin",
    "user_id": "alice",
    "session_id": "1",
    "run_name": "MT13",
    "voxel_spacing": null,
    "unit": "angstrom",
    "points": [
        {
            "location": {
                "x": 52.696686180767706,
                "y": 258.95367670496597,
                "z": 162.43836607472753
            },
            "transformation_": [
                [
                    0.0,
                    -1.0,
                    0.0,
                    1.5
                ],
                [
                    1.0,
                    0.0,
                    0.0,
                    5e-05
                ],
                [
                    0.0,
                    0.0,
                    1.0,
                    1e-300
                ],
                [
                    0.0,
                    0.0,
                    0.0,
                    1.0
                ]
            ],
            "instance_id": 7,
            "score": 0.25
        }
    ],
    "trust_orientation": true
}"""


def picks_file(points, **header):
    return json.dumps({**HEADER, "points": points, **header}).encode()


def point(**changes):
    return {"location": {"x": 1.0, "y": 2.0, "z": 3.0}, **changes}


def picks(n=3):
    return from_arrays(np.arange(3.0 * n).reshape(n, 3), header=HEADER)


def matrix(row, column, value):
    changed = np.eye(4).tolist()
    changed[row][column] = value
    return changed


def assert_same(a, b):
    for name in ("positions", "transforms", "instance_ids", "scores"):
        left, right = getattr(a, name), getattr(b, name)
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()
    assert (a.header, a.point_extras) == (b.header, b.point_extras)


@pytest.fixture(params=["pydantic_core", "orjson"])
def writer(request, monkeypatch):
    if request.param == "orjson":
        pytest.importorskip("orjson")
    else:
        monkeypatch.setattr(importlib, "import_module", _refuse_import)
    encoding._array_writer.cache_clear()
    yield request.param
    encoding._array_writer.cache_clear()


def _refuse_import(name: str) -> None:
    raise ImportError(name)


finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def any_picks(draw):
    n = draw(st.integers(0, 6))
    transforms = draw(hnp.arrays(np.float64, (n, 4, 4), elements=finite))
    transforms[:, 3] = [0, 0, 0, 1]
    # Hypothesis knows the strings of our modules: of fields that have a type of their own, any value would be wrong.
    header = draw(st.dictionaries(text.filter(lambda key: key not in CopickPicksFile.model_fields), json_values, max_size=3))
    header |= draw(
        st.fixed_dictionaries(
            {"pickable_object_name": text, "user_id": text, "session_id": text, "unit": st.just("angstrom")},
            optional={"run_name": text, "voxel_spacing": finite, "trust_orientation": st.booleans()},
        )
    )
    made = from_arrays(
        draw(hnp.arrays(np.float64, (n, 3), elements=finite)),
        transforms,
        draw(hnp.arrays(np.int64, n, elements=st.integers(0, 2**63 - 1))),
        draw(hnp.arrays(np.float64, n, elements=finite)),
        header=header,
    )
    names = text.filter(lambda key: key not in {"location", "transformation_", "instance_id", "score"})
    if n:
        extras = st.dictionaries(names, json_values, min_size=1, max_size=2)
        made.point_extras = draw(st.dictionaries(st.integers(0, n - 1), extras, max_size=n))
    return made


# Reading


def test_a_file_of_the_released_library_reads_to_its_values():
    read = decode(REFERENCE_FILE.encode(), "a.json")

    assert read.positions.tolist() == [[52.696686180767706, 258.95367670496597, 162.43836607472753]]
    assert read.transforms[0, :3].tolist() == [[0, -1, 0, 1.5], [1, 0, 0, 5e-05], [0, 0, 1, 1e-300]]
    assert read.instance_ids.tolist() == [7]
    assert read.scores.tolist() == [0.25]
    assert read.header == {k: v for k, v in json.loads(REFERENCE_FILE).items() if k != "points"}
    assert read.point_extras == {}


def test_indented_and_compact_files_read_the_same():
    compact = json.dumps(json.loads(REFERENCE_FILE), separators=(",", ":")).encode()

    assert_same(decode(compact, "a"), decode(REFERENCE_FILE.encode(), "a"))


def test_missing_keys_take_the_defaults():
    read = decode(picks_file([point(), point(score=2, instance_id=5)]), "a")

    assert read.transforms.tolist() == [IDENTITY, IDENTITY]
    assert read.instance_ids.tolist() == [0, 5]
    assert read.scores.tolist() == [1.0, 2.0]
    assert read.header["unit"] == "angstrom"
    assert read.header["trust_orientation"] is True
    assert read.header["run_name"] is read.header["voxel_spacing"] is None


def test_null_id_and_null_score_take_the_defaults():
    read = decode(picks_file([point(score=0.5, instance_id=4), point(score=None, instance_id=None)]), "a")

    assert (read.instance_ids.tolist(), read.scores.tolist()) == ([4, 0], [0.5, 1.0])


@pytest.mark.parametrize("data", [picks_file(None), picks_file([]), json.dumps(HEADER).encode()])
def test_null_empty_and_missing_points_are_no_points(data):
    read = decode(data, "a")

    shapes = [a.shape for a in (read.positions, read.transforms, read.instance_ids, read.scores)]
    assert shapes == [(0, 3), (0, 4, 4), (0,), (0,)]


def test_an_empty_list_of_points_stays_an_empty_list():
    assert json.loads(encode(decode(picks_file([]), "a")))["points"] == []


def test_integers_and_whole_float_ids_read_as_numbers():
    read = decode(picks_file([{"location": {"x": 1, "y": 2, "z": 3}, "instance_id": 3.0, "score": 1}]), "a")

    assert read.positions.dtype == read.scores.dtype == np.float64
    assert read.instance_ids.tolist() == [3]


@pytest.mark.parametrize(
    "bad",
    [
        point(location={"x": float("nan"), "y": 1.0, "z": 0.0}),
        point(location={"x": 1.0, "y": float("-inf"), "z": 0.0}),
        point(score=float("inf")),
        point(transformation_=matrix(1, 3, float("nan"))),
    ],
)
def test_numbers_that_are_not_finite_are_refused_by_the_index_of_their_point(bad):
    with pytest.raises(InvalidDataError, match=r"^a: point 1: .* not finite") as caught:
        decode(picks_file([point(), bad]), "a")

    assert caught.value.index == 1


def test_a_number_beyond_the_largest_is_refused_by_the_index_of_its_point():
    data = picks_file([point(), point(location={"x": 1.0, "y": 123.25, "z": 0.0})]).replace(b"123.25", b"1e999")

    with pytest.raises(InvalidDataError, match=r"^a: point 1: location holds a value that is not finite"):
        decode(data, "a")


@pytest.mark.parametrize(("unit", "factor"), [("nm", 10), ("Nanometers", 10), ("Å", 1), ("µm", 10_000), ("pm", 0.01)])
def test_other_units_of_length_are_converted_to_angstrom(unit, factor):
    shifted = matrix(0, 3, 2.0)
    data = picks_file([point(location={"x": 1.0, "y": 2.0, "z": 3.0}, transformation_=shifted)], unit=unit)

    read = decode(data, "a")

    np.testing.assert_allclose(read.positions, [[factor, 2 * factor, 3 * factor]])
    np.testing.assert_allclose(read.transforms[0, :3, 3], [2 * factor, 0, 0])
    assert read.header["unit"] == "angstrom"


def test_an_unknown_unit_is_refused_with_those_that_are_known():
    with pytest.raises(InvalidDataError, match=r"'pixel' is none of angstrom, nm"):
        decode(picks_file([point()], unit="pixel"), "a")


def test_a_byte_order_mark_is_skipped():
    assert len(decode(b"\xef\xbb\xbf" + picks_file([point()]), "a")) == 1


def test_negative_ids_read_but_are_not_written():
    read = decode(picks_file([point(), point(instance_id=-1)]), "a")

    assert read.instance_ids.tolist() == [0, -1]
    with pytest.raises(ValueError, match=r"^b: point 1: instance_ids must be >= 0, not -1"):
        encode(read, "b")


@pytest.mark.parametrize(
    "bad",
    [
        3,
        None,
        [],
        {},
        {"location": None},
        {"location": [1, 2, 3]},
        {"location": {"x": 1.0, "y": 2.0}},
        {"location": {"x": 1.0, "y": None, "z": 2.0}},
        {"location": {"x": 1.0, "y": "2.0", "z": 2.0}},
        {"location": {"x": 1.0, "y": True, "z": 2.0}},
        {"location": {"x": 1.0, "y": 10**400, "z": 2.0}},
        point(score="high"),
        point(score=[]),
        point(instance_id="1"),
        point(instance_id=1.5),
        point(instance_id=True),
        point(instance_id=2**63),
        point(instance_id=float("nan")),
        point(transformation_=None),
        point(transformation_="abcd"),
        point(transformation_=IDENTITY[:3]),
        point(transformation_=[row[:3] for row in IDENTITY]),
        point(transformation_=[*IDENTITY[:3], [0, 0, 0, 1, 0]]),
        point(transformation_=[*IDENTITY[:3], "0001"]),
        point(transformation_=matrix(1, 1, None)),
        point(transformation_=matrix(3, 3, 1.0000000001)),
        point(transformation_=matrix(3, 0, 1e-7)),
        point(transformation_=matrix(3, 0, float("nan"))),
    ],
)
def test_a_point_that_cannot_be_read_is_named_by_file_and_index(bad):
    data = picks_file([point(transformation_=IDENTITY, instance_id=1, score=1.0), point(), bad, point()])

    with pytest.raises(ValueError, match=r"^some/file\.json: point 2: "):
        decode(data, "some/file.json")


def test_the_first_of_several_bad_points_is_named():
    with pytest.raises(ValueError, match="point 1: "):
        decode(
            picks_file([point(), point(transformation_=matrix(2, 3, "a")), point(transformation_=[])][:2]),
            "a",
        )


def test_a_last_row_within_allclose_is_read_and_written():
    transform = matrix(3, 0, 1e-9)

    read = decode(picks_file([point(transformation_=transform)]), "a")

    assert json.loads(encode(read))["points"][0]["transformation_"] == transform


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        REFERENCE_FILE.encode()[:-40],
        REFERENCE_FILE.encode() + b"x",
        b'{"user_id": "\xff"}',
        picks_file({}),
        picks_file("abc"),
        b'{"points": []}',
        picks_file([], user_id=3),
        picks_file([], session_id=None),
        picks_file([], unit=None),
        picks_file([], voxel_spacing="10"),
        picks_file([], trust_orientation="yes"),
    ],
)
def test_what_is_no_picks_file_is_refused_with_its_name(data):
    with pytest.raises(ValueError, match=r"^some/file\.json: "):
        decode(data, "some/file.json")


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("piece", [1, 200, 1000])
@given(data=st.data())
@settings(derandomize=True, deadline=None, max_examples=25)
def test_reading_in_pieces_is_reading_whole(indent, piece, data):
    document = json.loads(encode(data.draw(any_picks())))
    for extra in document["points"][1:3]:
        extra["nested"] = [point(), point(), {"location": "x},{"}]
    text = json.dumps(document, indent=indent).encode()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "PIECE_BYTES", piece)
        read = decode(text, "a")

    assert_same(read, decoding._decode_whole(text, "a"))


@pytest.mark.parametrize(
    "text",
    [
        {"x": {"points": [point(), point(), point()]}, **HEADER, "points": []},
        {**HEADER, 'x"points': [point(), point(), point()]},
        {**HEADER, "x": [1], "points": [point(), point()]},
        {**HEADER, "points": [point(), point()], "y": {"points": [point(), point()]}},
        {**HEADER, "points": [point(), point()], "y": [point(), point()]},
    ],
)
def test_lists_of_unknown_keys_are_never_taken_for_the_points(text, monkeypatch):
    monkeypatch.setattr(decoding, "PIECE_BYTES", 30)
    data = json.dumps(text).encode()

    assert_same(decode(data, "a"), decoding._decode_whole(data, "a"))


def test_a_bad_point_of_a_long_file_is_named_by_its_index():
    points = [point(transformation_=IDENTITY) for _ in range(12_000)]
    points[9_876]["score"] = "high"

    with pytest.raises(ValueError, match=r"^a: point 9876: score "):
        decode(picks_file(points), "a")


# Writing


def test_the_text_is_compact_json_in_the_released_order(writer):
    text = encode(from_arrays([[1, 2.5, -3]], header={**HEADER, "voxel_spacing": 10.0}))

    assert text == (
        b'{"pickable_object_name":"ribosome","user_id":"ana","session_id":"1","run_name":null,'
        b'"voxel_spacing":10.0,"unit":"angstrom","points":[{"location":{"x":1.0,"y":2.5,"z":-3.0},'
        b'"transformation_":[[1.0,0.0,0.0,0.0],[0.0,1.0,0.0,0.0],[0.0,0.0,1.0,0.0],[0.0,0.0,0.0,1.0]],'
        b'"instance_id":0,"score":1.0}],"trust_orientation":true}'
    )


def test_no_points_are_an_empty_list():
    assert b'"points":[],' in encode(from_arrays([], header=HEADER))


@pytest.mark.parametrize("n", [1, 499, 500, 501, 1203])
def test_points_at_the_edges_of_chunks_are_all_written(writer, n):
    rng = np.random.default_rng(n)
    transforms = np.tile(np.eye(4), (n, 1, 1))
    transforms[:, :3] = rng.normal(size=(n, 3, 4))
    before = from_arrays(rng.normal(size=(n, 3)), transforms, np.arange(n), rng.random(n), header=HEADER)

    points = json.loads(encode(before))["points"]

    assert [list(p["location"].values()) for p in points] == before.positions.tolist()
    assert [p["transformation_"] for p in points] == before.transforms.tolist()
    assert [p["instance_id"] for p in points] == before.instance_ids.tolist()
    assert [p["score"] for p in points] == before.scores.tolist()


def test_arrays_in_any_memory_layout_are_written(writer):
    base = picks(4)
    odd = PicksArrays(
        np.asfortranarray(base.positions),
        np.asfortranarray(base.transforms).astype(">f8"),
        np.arange(8, dtype=">i8")[::2],
        np.linspace(0, 1, 8)[::2],
        HEADER,
    )

    read = decode(encode(odd), "a")

    assert read.positions.tolist() == base.positions.tolist()
    assert (read.instance_ids.tolist(), read.scores.tolist()) == (
        odd.instance_ids.tolist(),
        odd.scores.tolist(),
    )


def test_unknown_keys_survive_load_and_store():
    points = [
        point(transformation_=IDENTITY, instance_id=0, score=1.0),
        point(transformation_=IDENTITY, instance_id=0, score=1.0, note="edge", tags=["a", {"é": None}]),
        {"location": {"x": 0.0, "y": 0.0, "z": 0.0, "frame": 3}, "transformation_": IDENTITY}
        | {"instance_id": 2, "score": 0.0, "class": 1},
    ]
    before = {**HEADER, "run_name": "r", "voxel_spacing": 1.5, "unit": "angstrom", "points": points}
    before |= {"trust_orientation": False, "provenance": {"tool": "x", "n": [1, 2.5]}, "version": 2}

    read = decode(json.dumps(before).encode(), "a")
    after = json.loads(encode(read))

    assert after == before
    assert list(after) == list(before)
    assert read.point_extras == {
        1: {"note": "edge", "tags": ["a", {"é": None}]},
        2: {"class": 1, "location": {"frame": 3}},
    }


def test_an_unknown_key_is_seen_where_a_known_one_is_missing():
    points = [{"location": {"x": 1.0, "y": 2.0, "z": 3.0}, "instance_id": 1, "score": 1.0, "note": "n"}]

    assert decode(picks_file(points), "a").point_extras == {0: {"note": "n"}}


@pytest.mark.parametrize(
    "extras",
    [
        {"a": float("nan")},
        {"a": np.float32(1)},
        {"a": {1, 2}},
        {"a": "\ud800"},
        {"score": 1.0},
        {"location": {"x": 1.0}},
        {"location": 3},
    ],
)
def test_unknown_keys_that_cannot_be_written_are_named_by_index(extras):
    arrays = picks()
    arrays.point_extras = {1: extras}

    with pytest.raises(ValueError, match=r"^a: point 1: "):
        encode(arrays, "a")


@pytest.mark.parametrize("index", [-1, 3, "0"])
def test_unknown_keys_of_a_point_that_is_not_there_are_refused(index):
    arrays = picks()
    arrays.point_extras = {index: {"a": 1}}

    with pytest.raises(ValueError, match="point_extras"):
        encode(arrays)


@pytest.mark.parametrize(
    "change",
    [
        {"voxel_spacing": float("nan")},
        {"other": object()},
        {"other": "\ud800"},
        {"points": []},
        {"user_id": 3},
        {"unit": None},
        {"unit": "pixel"},
    ],
)
def test_headers_that_cannot_be_written_are_refused(change):
    arrays = picks()
    arrays.header |= change

    with pytest.raises(ValueError, match=r"^a: "):
        encode(arrays, "a")


def test_a_numpy_scalar_in_the_header_is_written_as_its_number():
    assert json.loads(encode(from_arrays([], header={**HEADER, "voxel_spacing": np.float32(0.5)})))["voxel_spacing"] == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "where"), [("positions", (1, 2)), ("transforms", (1, 0, 3)), ("scores", (1,))])
def test_a_value_that_is_not_finite_is_named_by_index(name, where, value):
    arrays = picks()
    getattr(arrays, name)[where] = value

    with pytest.raises(ValueError, match=rf"^a: point 1: {name} "):
        encode(arrays, "a")


def test_a_negative_id_set_by_hand_is_named_by_index():
    arrays = picks()
    arrays.instance_ids[2] = -4

    with pytest.raises(ValueError, match="point 2: instance_ids must be >= 0, not -4"):
        encode(arrays)


def test_a_last_row_set_by_hand_is_named_by_index():
    arrays = picks()
    arrays.transforms[2, 3] = [0, 0, 1, 1]

    with pytest.raises(ValueError, match="point 2: the last row"):
        encode(arrays)


@pytest.mark.parametrize("name", ["transforms", "instance_ids", "scores"])
def test_lengths_that_differ_are_refused(name):
    arrays = picks()
    setattr(arrays, name, getattr(arrays, name)[:2])

    with pytest.raises(ValueError, match=rf"{name} must have shape \(3"):
        encode(arrays)


# from_arrays


@pytest.mark.parametrize(
    "positions",
    [
        [1.0, 2.0, 3.0],
        1.0,
        [[1.0, 2.0]],
        np.zeros((2, 4)),
        [[1, 2, 3], [1, 2]],
        [["1", "2", "3"]],
        [[1, None, 3]],
        [[1j, 0, 0]],
        np.ones((2, 3), dtype=bool),
    ],
)
def test_positions_of_a_wrong_shape_or_dtype_are_refused(positions):
    with pytest.raises(ValueError, match="positions "):
        from_arrays(positions, header=HEADER)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i1", "u2", "i8", ">f4"])
def test_positions_of_any_real_dtype_are_taken(dtype):
    read = from_arrays(np.array([[1, 2, 3]], dtype=dtype), header=HEADER)

    assert read.positions.dtype == np.float64
    assert read.positions.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("ids", [[0, 1.5], [0, -1], [0, np.nan], [0, 1e300], np.array([0, 2**63], np.uint64)])
def test_ids_that_are_no_ids_are_named_by_index(ids):
    with pytest.raises(ValueError, match="point 1: instance_ids must be "):
        from_arrays(np.zeros((2, 3)), instance_ids=ids, header=HEADER)


@pytest.mark.parametrize("ids", [[0, 1], [0.0, 1.0], np.array([0, 1], np.uint8), np.array([False, True])])
def test_ids_of_any_whole_dtype_are_taken(ids):
    read = from_arrays(np.zeros((2, 3)), instance_ids=ids, header=HEADER)

    assert read.instance_ids.dtype == np.int64
    assert read.instance_ids.tolist() == [0, 1]


@pytest.mark.parametrize("transforms", [np.zeros((2, 4, 4)), np.eye(4), np.zeros((2, 3, 3)), np.zeros((2, 4, 3))])
def test_transforms_of_a_wrong_shape_or_last_row_are_refused(transforms):
    with pytest.raises(ValueError, match="transform"):
        from_arrays(np.zeros((2, 3)), transforms, header=HEADER)


def test_a_header_without_an_identity_is_refused():
    with pytest.raises(ValueError, match="session_id is missing"):
        from_arrays([], header={"pickable_object_name": "a", "user_id": "b"})


def test_the_picks_share_no_memory_with_the_arguments():
    arguments = np.zeros((2, 3)), np.tile(np.eye(4), (2, 1, 1)), np.zeros(2, np.int64), np.zeros(2)

    made = from_arrays(*arguments, header=HEADER)

    fields = made.positions, made.transforms, made.instance_ids, made.scores
    assert not any(np.shares_memory(a, b) for a, b in zip(arguments, fields, strict=True))
    assert all(a.flags.writeable for a in (*fields, picks().transforms))


# Round trips


@given(any_picks())
@settings(derandomize=True, deadline=None)
def test_what_is_written_reads_back_bit_for_bit(before):
    assert_same(decode(encode(before), "a"), before)


@given(any_picks())
@settings(derandomize=True, deadline=None)
def test_the_standard_library_reads_the_same_values(before):
    document = json.loads(encode(before))

    points = document.pop("points")
    assert document == before.header
    located = [[p["location"][axis] for axis in "xyz"] for p in points]
    assert np.array(located, float).tobytes() == before.positions.tobytes()
    assert np.array([p["transformation_"] for p in points], float).tobytes() == before.transforms.tobytes()
    assert [p["instance_id"] for p in points] == before.instance_ids.tolist()
    assert np.array([p["score"] for p in points], float).tobytes() == before.scores.tobytes()


@given(any_picks())
@settings(derandomize=True, deadline=None)
def test_the_standard_librarys_text_reads_to_the_same_arrays(before):
    indented = json.dumps(json.loads(encode(before)), indent=4).encode()

    assert_same(decode(indented, "a"), before)


# The garbage collector


def test_the_collector_is_resumed_after_an_error():
    with pytest.raises(ValueError):
        decode(b"{", "a")

    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        decode(picks_file([]), "a")
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_last_of_overlapping_threads_resumes_the_collector():
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with collector_paused():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)
    decode(picks_file([]), "a")
    enabled_while_held = gc.isenabled()
    leave.set()
    thread.join()

    assert not enabled_while_held
    assert gc.isenabled()


def test_threads_pause_and_resume_the_collector_one_after_another():
    pause = collector_paused()

    assert waits_for(collector._lock, pause.__enter__)
    assert not gc.isenabled()
    assert waits_for(collector._lock, lambda: pause.__exit__(None, None, None))
    assert gc.isenabled()


CODECS = {
    "decode": lambda: decode(picks_file([]), "a"),
    "encode": lambda: encode(from_arrays([[1.0, 2.0, 3.0]], header=HEADER, source="a")),
}


@pytest.mark.parametrize("codec", CODECS)
def test_points_are_read_and_written_while_the_collector_is_paused(codec):
    assert waits_for(collector._lock, CODECS[codec])


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="long doubles are doubles here")
def test_a_number_beyond_float64_is_refused_without_a_warning():
    huge = np.array([[1, 2, 3], [4, 5, np.finfo(np.longdouble).max]], np.longdouble)

    with pytest.raises(InvalidDataError, match="positions must be finite") as caught:
        from_arrays(huge, header=HEADER, source="a")

    assert caught.value.index == 1
