"""Addresses: what they mean, how they are printed, where they go wrong."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.errors import AddressError
from copick_core.tree.addresses import Address, address_of, escaped, key_of, parse
from copick_core.tree.keys import (
    KEY_CLASSES,
    FeaturesKey,
    Kind,
    MeshKey,
    ObjectKey,
    PicksKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    voxel_size_key,
)
from copick_core.tree.names import is_run_name

PICKS = PicksKey("TS_001", "ribosome", "alice", "1")
MESH = MeshKey("TS_001", "ribosome", "alice", "1")
INSTANCES = SegmentationKey("TS_001", 10.0, "membrane", "alice", "1", "instance")
TOMOGRAM = TomogramKey("TS_001", 10.0, "wbp")
FEATURES = FeaturesKey("TS_001", 10.0, "wbp", "sobel")

runs = st.text(min_size=1, max_size=12).filter(is_run_name)
names = st.text(
    st.characters(exclude_characters='<>:"/\\|?*_', exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=8
).filter(lambda name: name[0] not in "-." and name[-1] != "-")
sizes = st.floats(0.001, 1000).map(voxel_size_key)
keys = st.one_of(
    st.builds(RunKey, runs),
    st.builds(VoxelSpacingKey, runs, sizes),
    st.builds(TomogramKey, runs, sizes, names),
    st.builds(FeaturesKey, runs, sizes, names, names),
    st.builds(PicksKey, runs, names, names, names),
    st.builds(MeshKey, runs, names, names, names),
    st.builds(SegmentationKey, runs, sizes, names, names, names, st.sampled_from(["binary", "instance", "panoptic"])),
    st.builds(ObjectKey, names),
)
parts = st.text("ab*[]-.% é", min_size=1, max_size=5).map(str.strip).filter(bool)


@given(keys)
def test_the_address_of_a_key_is_printed_parsed_and_matches_it(key):
    address = address_of(key)

    assert parse(str(address)) == address
    assert key.kind in address.kinds
    assert address.matches(key)


@given(keys, keys)
def test_the_address_of_a_key_matches_no_other_key_of_its_kind(one, other):
    same_kind = one.kind is other.kind
    untyped = one.kind is Kind.SEGMENTATION and one.segmentation_type == "binary"

    assert address_of(one).matches(other) == (one == other) or not same_kind or untyped


@given(st.builds(Address, run=st.none() | parts, name=parts, user_id=parts, session_id=st.none() | parts))
def test_parsing_what_is_printed_gives_the_same_address(address):
    assert parse(str(address)) == address


@given(parts, names)
def test_a_pattern_without_escapes_matches_as_fnmatch_does(pattern, name):
    if "%" not in pattern:
        assert parse(f"{pattern}:u/s").matches(PicksKey("r", name, "u", "s")) == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("TS_001/ribosome:alice/1", PICKS),
        ("TS_001/ribosome:alice/1", MESH),
        ("ribosome:alice/1", PICKS),
        ("ribosome:alice", PICKS),
        ("TS_*/ribo*", PICKS),
        ("TS_001/*:*/*", MESH),
        ("  TS_001/ribosome:alice/1 ", PICKS),
        ("re:TS_00[0-9]/ribo.*:ali", PICKS),
        ("exact:TS_001/ribosome:alice/1", PICKS),
        ("membrane:alice/1@10.0?instance=true", INSTANCES),
        ("membrane:*/*@10?instance=YES&panoptic=0", INSTANCES),
        ("membrane@10.0", INSTANCES),
        ("*@1*", INSTANCES),
        ("wbp@10", TOMOGRAM),
        ("TS_001/wbp@10.000", TOMOGRAM),
        ("wbp@10.0:sobel", FEATURES),
        ("wbp@*:so*", FEATURES),
        ("TS_001/", RunKey("TS_001")),
        ("TS_*/@10.0", VoxelSpacingKey("TS_001", 10.0)),
        ("ribosome", ObjectKey("ribosome")),
        ("TS%3A1/", RunKey("TS:1")),
        ("exact:TS*[1]/", RunKey("TS*[1]")),
        ("TS%2A/", RunKey("TS*")),
    ],
)
def test_an_address_matches(text, key):
    assert key.kind in parse(text).kinds
    assert parse(text).matches(key)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("TS_002/ribosome:alice/1", PICKS),
        ("ribosom:alice/1", PICKS),
        ("ribosome:alice/10", PICKS),
        ("TS%2A/", RunKey("TS_001")),
        ("exact:TS_*/", RunKey("TS_001")),
        ("membrane:alice/1@10.0?multilabel=true", INSTANCES),
        ("membrane:alice/1@10.0?instance=false", INSTANCES),
        ("wbp@1", TOMOGRAM),
        ("wbp@10.0:sobe", FEATURES),
    ],
)
def test_an_address_does_not_match(text, key):
    assert not parse(text).matches(key)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("TS_001/", {Kind.RUN}),
        ("@10", {Kind.VOXEL_SPACING}),
        ("wbp@10:sobel", {Kind.FEATURES}),
        ("wbp@10", {Kind.TOMOGRAM, Kind.SEGMENTATION}),
        ("m:a/1@10", {Kind.SEGMENTATION}),
        ("m:a/1?panoptic=true", {Kind.SEGMENTATION}),
    ],
)
def test_the_form_of_an_address_tells_the_possible_kinds(text, kinds):
    assert parse(text).kinds == kinds


def test_without_a_size_an_address_may_mean_any_annotation():
    assert {Kind.PICKS, Kind.MESH, Kind.SEGMENTATION} <= parse("m:a/1").kinds
    assert Kind.TOMOGRAM not in parse("m:a/1").kinds


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "empty"),
        ("a:b:c", 3, "one colon"),
        ("a/b/c:d", 3, "one slash"),
        ("/a:b/c", 0, "run before the slash is empty"),
        ("a:/s", 2, "user after the colon is empty"),
        ("a:u/", 4, "session after the user is empty"),
        (":u/s", 0, "name before the colon is empty"),
        ("wbp@", 4, "voxel size after @ is empty"),
        ("wbp@10:", 7, "feature type after the voxel size is empty"),
        ("wbp@10:a:b", 8, "feature type ends"),
        ("wbp@ten", 4, "not a voxel size"),
        ("a:u/s@10:f", 2, "features belong to no user"),
        ("m?color=red", 2, "multilabel=true"),
        ("m?instance=maybe", 11, "true or false"),
        ("m?instance=true&panoptic=true", 16, "one type"),
        ("TS/?instance=true", 3, "no segmentation type"),
        ("re:TS_(/a:b/c", 3, "not a regular expression"),
        ("re:TS_1/a(:b/c", 8, "not a regular expression"),
        ("exact:wbp@10:a:b", 14, "feature type ends"),
        ("TS_1/a:u/", 9, "session after the user is empty"),
        ("TS_1/a:u:s", 8, "one colon"),
        ("TS_1/wbp@10:", 12, "feature type after the voxel size is empty"),
        ("TS_1/wbp@ten", 9, "not a voxel size"),
        ("TS_1/:u/s", 5, "name before the colon is empty"),
        ("TS_1/a:u/s@10:f", 7, "features belong to no user"),
        ("@10:sobel", 0, "the name is empty"),
        ("TS_1/@10:sobel", 5, "the name is empty"),
        ("?instance=true", 0, "it is empty"),
        ("@10?instance=true", 0, "the name is empty"),
        ("m?instance=true&color=red", 16, "multilabel=true"),
        ("m?instance=true&panoptic=no&instance=false", 28, "one type"),
        ("m?instance=true&panoptic=maybe", 25, "true or false"),
    ],
)
def test_an_error_points_at_the_character(text, position, reason):
    with pytest.raises(AddressError, match=reason) as caught:
        parse(text)

    assert caught.value.position == position
    assert str(caught.value).endswith(f"\n  {text}\n  {' ' * position}^")


def test_spaces_around_an_address_count_only_for_positions():
    assert parse("  TS_1/a:u/s ") == parse("TS_1/a:u/s")
    with pytest.raises(AddressError) as caught:
        parse("  a:b:c")
    assert caught.value.position == 5


@pytest.mark.parametrize("value", [5, None, b"TS_1/"])
def test_what_is_no_text_is_no_address(value):
    with pytest.raises(AddressError, match=f"it must be a string, not {type(value).__name__}") as caught:
        parse(value)

    assert caught.value.position == 0


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("TS%2A*/", ["TS*", "TS*5"], ["TS", "TS5", "xTS*"]),
        ("TS%5B*/", ["TS[1", "TS["], ["TS1", "TS"]),
        ("re:TS%2E+/", ["TS.", "TS.."], ["TSx", "TS"]),
        ("re:TS%2e[12]/", ["TS.1", "TS.2"], ["TSx1", "TS.3"]),
        ("re:TS.%2A/", ["TS1*"], ["TS1", "TS"]),
    ],
)
def test_an_escaped_character_is_itself_in_patterns_too(text, matching, others):
    assert [name for name in matching + others if parse(text).matches(RunKey(name))] == matching


@pytest.mark.parametrize(
    ("size", "matches"), [("10", True), ("10.00", True), ("10.0004", True), ("10.1", False), ("1*", True)]
)
def test_a_voxel_size_is_compared_as_a_number_or_as_it_is_written(size, matches):
    assert parse(f"wbp@{size}").matches(TOMOGRAM) is matches


def test_a_flag_that_is_false_lets_the_other_types_through():
    assert parse("membrane:alice/1@10.0?multilabel=false&panoptic=0").matches(INSTANCES)
    assert key_of(parse("TS_001/membrane:alice/1@10.0?multilabel=false"), Kind.SEGMENTATION) is None
    assert key_of(parse("TS_001/membrane:alice/1@10.0?multilabel=1"), Kind.SEGMENTATION).segmentation_type == "multilabel"


def test_only_what_means_something_is_escaped():
    assert escaped("TS_001-a b.é") == "TS_001-a b.é"
    assert escaped("a/b:c@d?e*f[g]") == "a%2Fb%3Ac%40d%3Fe%2Af%5Bg]"
    assert escaped("50%2F 50%") == "50%252F 50%"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_an_address(kind):
    key = KEY_CLASSES[kind](*[10.0 if field == "voxel_size" else "x" for field in KEY_CLASSES[kind]._fields[:-1]])

    assert kind in address_of(key).kinds


def test_parts_that_name_one_thing_are_told_from_patterns():
    address = parse("TS%3A1/ribo*:alice@10")

    assert [address.literal(part) for part in ("run", "name", "user_id", "session_id")] == ["TS:1", None, "alice", None]
    assert address.size == 10.0


@given(keys)
def test_the_key_that_an_address_names_is_the_one_that_it_is_the_address_of(key):
    plain = key._replace(variant="") if hasattr(key, "variant") else key  # no address has a variant

    assert key_of(address_of(key), key.kind) == plain


@pytest.mark.parametrize(
    "text", ["TS_*/ribosome:alice/1", "ribosome:alice/1", "TS_1/ribosome:alice", "re:TS_1/ribosome:alice/1"]
)
def test_an_address_with_a_pattern_or_without_a_part_names_no_key(text):
    assert key_of(parse(text), Kind.PICKS) is None
