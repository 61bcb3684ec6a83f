"""Tests of copick's own suite of 1.31.0 that do not pass on the drop-in, with the reason of each: a pattern of names.

Most of them run twice, on a project of one folder and on one with an overlay. At most `LIMIT` tests may differ.
"""

from __future__ import annotations

LIMIT = 60
_WORDS = "another message"
OWN_DIFFERS: tuple[tuple[str, str], ...] = (
    (r"test_reconnecting_fs::", "looks into a module that is not here: the file system backend reconnects by itself"),
    (r"::test_picks_handler_write_read_round_trip", "calls handlers of formats, which are plugins here"),
    (
        r"::test_(root_new_run|run_new_(voxel_spacing|picks|meshes|segmentations)|vs_new_tomogram|tomogram_new_features)\[",
        "looks into private lists, which new_… does not fill here: it lists nothing",
    ),
    (r"::test_run_meta\[", "assigns run.name, which is the run's address and would move nothing"),
    (r"::test_add_tomogram_run_regex_no_match\[", "a file that is left out is an error here, and an exit code"),
    (r"::test_object_name_with_type_suffix_warns\[", "a name with the suffix of a type is unambiguous here, so nothing warns"),
    (r"::test_add_picks_em_basic\[", "reads a motive list with rows and columns exchanged, which TOM does not write"),
    (r"::test_add_panoptic_segmentation_from_tiff\[", "a TIFF file of four dimensions is not a volume here"),
    (r"::test_mrc_keeps_labels\[.*300", "labels that are unsigned are written as such (MRC mode 6)"),
    (r"::test_em_keeps_large_labels\[", "labels above 2^24 are written as 64-bit floats, which hold them too"),
    (r"TestSyncMeshes::test_sync_meshes_basic\[", "a mesh is a scene, also when it was made of one body"),
    (r"::test_add_object_volume_to_read_only_object\[", "a write to a read-only object is a PermissionError"),
    (r"::test_segmentation_values_never_narrowed\[", _WORDS),
    (r"::test_(instance|panoptic)_segmentation_rules\[", _WORDS),
    (r"::test_instance_segmentation_copy_keeps_type\[", _WORDS),
    (r"::test_add_segmentation_unsupported_format_raises\[", "other formats than MRC are read too, so the message is another"),
    (r"::test_empty_result$", _WORDS),
    (r"::test_pickable_object_name_validation$", _WORDS),
    (r"::test_invalid_curves_are_refused\[.*exactly 4 times", _WORDS),
    (r"::test_set_filament$", _WORDS),
)
