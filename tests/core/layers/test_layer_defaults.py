"""What a layer does that gives no more than it must."""

from __future__ import annotations

from copick_core.errors import NotFoundError
from copick_core.layers import Layer
from copick_core.testing import samples
from copick_core.testing.dict_layer import DictLayer
from copick_core.tree.keys import Kind

PICKS = samples.key(Kind.PICKS)


class OnlyReads(DictLayer):
    """Reads bytes, and tells nothing of their revision."""

    revision = Layer.revision
    read_revised = Layer.read_revised

    def read(self, key):
        try:
            return self.place.files[key][0]
        except KeyError:
            raise NotFoundError(key=key, layer=self.name) from None


def test_a_file_is_read_with_the_revision_of_its_bytes():
    layer = OnlyReads()
    layer.place.files[PICKS] = (b"1", None)
    data, revision = layer.read_revised(PICKS)

    layer.place.files[PICKS] = (b"2", None)

    assert (data, revision is None) == (b"1", False)
    assert layer.read_revised(PICKS) == (b"2", layer.revision(PICKS))
    assert layer.revision(PICKS) != revision


def test_a_file_that_is_missing_has_no_revision():
    assert OnlyReads().revision(PICKS) is None
