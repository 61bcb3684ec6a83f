"""The on-disk layout: path() and parse() are exact inverses, and foreign files never become entities."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copick_core.errors import InvalidNameError
from copick_core.tree import layout
from copick_core.tree.keys import (
    ROOT,
    FeaturesKey,
    FilamentsKey,
    Kind,
    MeshKey,
    ObjectKey,
    PicksKey,
    RootKey,
    RunKey,
    SegmentationKey,
    TomogramKey,
    VoxelSpacingKey,
    voxel_size_key,
)

# Every name that sanitising lets through; the first character is not a dot.
names = st.text(st.sampled_from(string.ascii_letters + string.digits + "-.+()[]{}@~äβ ½"), min_size=1, max_size=12).filter(
    lambda s: s[0] != "." and " " not in s
)
runs = st.text(st.sampled_from(string.ascii_letters + "_-. []*?"), min_size=1, max_size=12).filter(lambda s: s[0] != ".")
sizes = st.floats(0.001, 9999).map(voxel_size_key)
variants = st.just("") | st.integers(1, 999).map(str)
keys = st.one_of(
    st.builds(RunKey, runs),
    st.builds(ObjectKey, names),
    st.builds(VoxelSpacingKey, runs, sizes),
    st.builds(TomogramKey, runs, sizes, names, st.just("")),
    st.builds(FeaturesKey, runs, sizes, names, names, variants),
    st.builds(PicksKey, runs, names, names, names),
    st.builds(MeshKey, runs, names, names, names),
    st.builds(FilamentsKey, runs, names, names, names),
    st.builds(
        SegmentationKey, runs, sizes, names, names, names, st.sampled_from(["binary", "multilabel", "instance", "panoptic"])
    ).filter(lambda k: not (k.segmentation_type == "binary" and k.name.endswith("-multilabel"))),
)


@given(keys)
def test_parse_reads_back_what_path_writes(key):
    path = layout.path(key)
    folder, _, name = path.rpartition("/")
    assert folder in layout.folders(key.kind, key.parent)
    assert layout.parse(key.kind, key.parent, name, folder.rpartition("/")[2]) == key


@given(st.sampled_from(Kind), keys, st.text(max_size=30))
def test_whatever_parse_accepts_is_what_path_would_write(kind, key, name):
    parent = key.parent if not isinstance(key.parent, RootKey) else key
    if not isinstance(parent, RunKey | VoxelSpacingKey | TomogramKey):
        return
    found = layout.parse(kind, parent, name, "Segmentations")
    assert found is None or layout.file_name(found) == name


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Kind.PICKS, "notes.json"),
        (Kind.PICKS, "me_1_cyto_ribo.json"),
        (Kind.PICKS, "me_1_ribo.json~"),
        (Kind.PICKS, ".me_1_ribo.json"),
        (Kind.MESH, "me_1_ribo.obj"),
        (Kind.VOXEL_SPACING, "VoxelSpacing10.000_old"),
        (Kind.VOXEL_SPACING, "VoxelSpacing10"),
        (Kind.VOXEL_SPACING, "VoxelSpacing0.000"),
        (Kind.SEGMENTATION, "10_me_1_mem.zarr"),
        (Kind.SEGMENTATION, "nan_me_1_mem.zarr"),
        (Kind.SEGMENTATION, "10.000_me_1_a_b.zarr"),
        (Kind.SEGMENTATION, "10.000_me_1_-multilabel.zarr"),
    ],
)
def test_foreign_names_are_no_entities(kind, name):
    assert layout.parse(kind, RunKey("r"), name, "Segmentations") is None


@pytest.mark.parametrize("tomo_type", ["denoised_isonet", "_wbp", "wbp_", "a_b_c"])
def test_an_old_tomogram_with_underscores_is_read_under_its_own_name(tomo_type):
    key = TomogramKey("r", 10.0, tomo_type)

    assert layout.parse(Kind.TOMOGRAM, key.parent, f"{tomo_type}.zarr") == key
    assert layout.path(key).endswith(f"/{tomo_type}.zarr")


def test_features_of_an_old_tomogram_are_its_own():
    old, other = TomogramKey("r", 10.0, "denoised_isonet"), TomogramKey("r", 10.0, "denoised")
    name = "denoised_isonet_sobel_features.zarr"

    assert layout.parse(Kind.FEATURES, old, name) == FeaturesKey("r", 10.0, "denoised_isonet", "sobel")
    assert layout.parse(Kind.FEATURES, other, name) is None
    assert layout.parse(Kind.TOMOGRAM, old.parent, name) is None


def test_an_object_with_underscores_is_none():
    assert layout.parse(Kind.OBJECT, ROOT, "cyto_ribo.zarr") is None


def test_a_tomogram_type_may_contain_the_word_features():
    key = TomogramKey("r", 10.0, "wbp-features-denoised")
    assert layout.parse(Kind.TOMOGRAM, key.parent, layout.file_name(key)) == key


def test_features_of_a_variant_are_not_those_of_its_twin():
    one, twin = TomogramKey("r", 10.0, "wbp", "702"), TomogramKey("r", 10.0, "wbp", "703")
    name = layout.file_name(FeaturesKey("r", 10.0, "wbp", "sobel", "703"))
    assert layout.parse(Kind.FEATURES, twin, name) is not None
    assert layout.parse(Kind.FEATURES, one, name) is None


def test_a_binary_segmentation_that_would_be_read_as_multilabel_is_refused():
    with pytest.raises(InvalidNameError, match="multilabel"):
        layout.path(SegmentationKey("r", 10.0, "x-multilabel", "me", "1", "binary"))


def test_a_file_name_that_is_too_long_is_refused():
    with pytest.raises(InvalidNameError, match="255"):
        layout.path(PicksKey("r", "o" * 100, "u" * 100, "s" * 100))


ODD_KEYS = [
    RunKey("a\x1f"),
    PicksKey("r", "a\nb", "me", "1"),
    TomogramKey("r", 10.0, "wbp\x00"),
    SegmentationKey("r", 1.0, "a\n", "m", "1", "binary"),
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_name_with_a_control_character_is_that_of_nothing(key):
    assert not layout.is_listable(key)


@pytest.mark.parametrize(
    "key", [PicksKey("r", "o" * 100, "u" * 100, "s" * 100), SegmentationKey("r", 10.0, "x-multilabel", "me", "1", "binary")]
)
def test_what_has_no_possible_name_is_in_no_listing(key):
    assert not layout.is_listable(key)
