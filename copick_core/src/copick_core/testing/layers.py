"""All checks of one layer."""

from __future__ import annotations

from copick_core.testing.layer_listing import HostileNameChecks, ListingChecks
from copick_core.testing.layer_places import PlaceChecks
from copick_core.testing.layer_records import RecordChecks
from copick_core.testing.layer_replacements import ReplacementChecks
from copick_core.testing.layer_storage import ContainerChecks, DeletionChecks, ExaminationChecks, FileChecks, SharingChecks
from copick_core.testing.layer_volumes import VolumeChecks
from copick_core.testing.layer_writes import ReadOnlyChecks, RevisionChecks, ThreadChecks
from copick_core.testing.machines import MachineChecks


# pytest collects the last base class first: what is fundamental stands at the end, and random histories come last.
class LayerTests(
    MachineChecks,
    ThreadChecks,
    HostileNameChecks,
    ReadOnlyChecks,
    ExaminationChecks,
    SharingChecks,
    PlaceChecks,
    RecordChecks,
    DeletionChecks,
    RevisionChecks,
    ReplacementChecks,
    VolumeChecks,
    ContainerChecks,
    FileChecks,
    ListingChecks,
):
    """Checks that a writable layer keeps the contract of :class:`copick_core.layers.Layer`.

    Example:
        In the tests of a backend::

            class TestMyLayer(LayerTests):
                @pytest.fixture
                def layer(self, tmp_path):
                    return MyLayer(tmp_path)

                def reopen(self, layer, *, read_only=False):
                    return MyLayer(layer.path, read_only=read_only)
    """
