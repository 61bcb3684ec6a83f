"""Which format reads a file, with real distributions on sys.path."""

import bz2
import gzip
import sys
import textwrap

import numpy as np
import pytest

from copick_core import plugins
from copick_core.errors import InvalidDataError, PluginError, UnknownFormatError, UnknownPluginError
from copick_core.plugins import Format
from copick_core.plugins.choosing import format_that_lists, format_that_reads, format_that_writes
from copick_core.volumes.reading import read_volume

FORMAT = """
import numpy as np
from copick_core.plugins import Format, hookimpl
from copick_core.volumes.sources import ArraySource

def sniff(path, head):
    return head.startswith({magic!r})

def read(path, *, fill=1):
    return ArraySource(np.full((1, 2, 3), fill), path)

@hookimpl
def copick_format():
    return Format({name!r}, api_version=1, suffixes={suffixes!r}, sniff=sniff, reads={{{kind!r}: read}})
"""


def source_of(name, magic=b"?", suffixes=(), kind="volume"):
    return FORMAT.format(name=name, magic=magic, suffixes=suffixes, kind=kind)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one format, and nothing else: a module and a dist-info folder, as pip leaves them."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name, magic=b"?", suffixes=(), kind="volume", source=None):
        module = f"their_{name}"
        source = source_of(name, magic, suffixes, kind) if source is None else source
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[copick.formats]\n{name} = {module}\n")
        plugins.reset()

    yield install
    plugins.reset()
    for module in site.glob("their_*.py"):
        sys.modules.pop(module.stem, None)


@pytest.fixture
def nothing_installed(monkeypatch):
    """No format is installed, as where core stands alone."""
    monkeypatch.setattr(plugins.formats, "_entry_points", {})


def file(path, content):
    path.write_bytes(content)
    return str(path)


def test_content_comes_before_the_suffix(install, tmp_path):
    install("one", b"ONE", (".one",))
    install("two", b"TWO", (".two",))

    assert format_that_reads(file(tmp_path / "a.one", b"TWO"), "volume").name == "two"


def test_the_suffix_decides_where_content_does_not(install, tmp_path):
    install("one", b"ONE", (".one",))

    assert format_that_reads(file(tmp_path / "A.ONE", b"nothing known"), "volume").name == "one"


def test_the_longest_suffix_wins(install, tmp_path):
    install("one", suffixes=(".one",))
    install("two", suffixes=(".two.one",))

    assert format_that_reads(file(tmp_path / "a.two.one", b""), "volume").name == "two"


@pytest.mark.parametrize("packing", [gzip, bz2], ids=["gzip", "bzip2"])
def test_packed_files_are_sniffed_unpacked(install, tmp_path, packing):
    install("one", b"ONE", (".one",))

    assert format_that_reads(file(tmp_path / "a", packing.compress(b"ONE")), "volume").name == "one"


def test_the_suffix_of_a_packed_file_is_the_one_before(install, tmp_path):
    install("one", b"ONE", (".one",))

    assert format_that_reads(file(tmp_path / "a.one.gz", gzip.compress(b"unknown")), "volume").name == "one"


def test_several_claimants_by_content_are_listed_and_none_is_chosen(install, tmp_path):
    install("one", b"X")
    install("two", b"X")

    with pytest.raises(UnknownFormatError, match=r"'one' and 'two'.*file_format='one'") as caught:
        read_volume(file(tmp_path / "a", b"X"))

    assert caught.value.candidates == ["one", "two"]


def test_file_format_chooses_between_claimants(install, tmp_path):
    install("one", b"X")
    install("two", b"X")

    assert format_that_reads(file(tmp_path / "a", b"X"), "volume", "two").name == "two"


def test_an_unknown_file_format_lists_those_that_are_installed(install, tmp_path):
    install("one", b"X")

    with pytest.raises(UnknownPluginError) as caught:
        read_volume(file(tmp_path / "a", b"X"), file_format="oen")

    assert "one" in caught.value.installed


def test_a_file_of_a_format_without_volumes_is_named_as_what_it_is(install, tmp_path):
    install("points", b"X", kind="picks")

    with pytest.raises(UnknownFormatError, match=r"'points', which does not read volumes") as caught:
        read_volume(file(tmp_path / "a.mrc", b"X"))

    assert caught.value.candidates == ["points"]


def test_a_suffix_that_is_not_installed_names_its_install_line(nothing_installed, tmp_path):
    with pytest.raises(UnknownFormatError) as caught:
        read_volume(file(tmp_path / "a.mrc", b"?"))

    assert caught.value.suffix == ".mrc"
    assert caught.value.installed == []
    assert caught.value.install == 'pip install "copick-core[formats]"'
    assert caught.value.install in str(caught.value)


def test_an_unknown_suffix_is_an_error_that_lists_what_is_installed(install, tmp_path):
    install("one", b"ONE", (".one",))

    with pytest.raises(UnknownFormatError, match=r"a\.png.*'\.png'.*installed for volumes: .*one") as caught:
        read_volume(file(tmp_path / "a.png", b"?"))

    assert "one" in caught.value.installed


def test_a_format_that_cannot_be_imported_is_named_with_its_cause(install, tmp_path):
    install("broken", source="import a_package_that_nobody_has")

    with pytest.raises(UnknownFormatError, match=r"broken cannot be used: .*a_package_that_nobody_has"):
        read_volume(file(tmp_path / "a.png", b"?"))


def test_a_sniffer_that_raises_keeps_no_other_format_from_a_file(install, tmp_path):
    install(
        "broken",
        source=source_of("broken").replace("head.st", "1 / 0 + head.st"),
    )
    install("one", b"ONE")

    assert format_that_reads(file(tmp_path / "a", b"ONE"), "volume").name == "one"


def test_whatever_a_reader_raises_becomes_an_error_that_names_the_file(install, tmp_path):
    install("one", b"ONE", source=source_of("one", b"ONE").replace("np.full(", "np.no("))

    with pytest.raises(InvalidDataError, match=r"bad\.one.*'one'.*AttributeError"):
        read_volume(file(tmp_path / "bad.one", b"ONE"))


def test_a_reader_that_cannot_be_imported_is_a_plugin_error(install, tmp_path):
    source = source_of("one", b"ONE").replace(": read}", ": 'no_such_module:read'}")
    install("one", source=source)

    with pytest.raises(PluginError, match="no_such_module"):
        read_volume(file(tmp_path / "a", b"ONE"))


def test_options_reach_the_reader(install, tmp_path):
    install("one", b"ONE")

    assert np.array_equal(read_volume(file(tmp_path / "a", b"ONE"), fill=7).data, np.full((1, 2, 3), 7))


def test_an_option_that_the_format_lacks_is_refused_with_those_that_it_has(install, tmp_path):
    install("one", b"ONE")

    with pytest.raises(TypeError, match=r"'one' has no option 'fil'.*it has fill"):
        read_volume(file(tmp_path / "a", b"ONE"), fil=7)


def test_options_reach_the_reader_through_an_import(install, tmp_path, root):
    install("one", b"ONE")
    tomogram = root.new_run("TS_1").new_voxel_spacing(10).new_tomogram("wbp")

    tomogram.import_volume(file(tmp_path / "a", b"ONE"), file_format="one", read_options={"fill": 7})

    assert tomogram.numpy().tolist() == [[[7] * 3] * 2]


# --------------------------------------------------------------------------------------------------- new files and lists


@pytest.fixture
def register():
    """Make formats known to this process only."""

    def register(name, suffixes=(), **fields):
        plugins.register(Format(name, Format.API_VERSION, suffixes, **fields))

    yield register
    plugins.reset()


def test_a_new_file_gets_the_format_of_the_longest_suffix_that_writes_it(register):
    register("reader", (".x.one",), reads={"picks": print})
    register("long", (".y.one",), writes={"picks": print})
    register("short", (".one",), writes={"picks": print})

    assert format_that_writes("a.x.one", "picks").name == "short"
    assert format_that_writes("a.Y.ONE", "picks").name == "long"
    assert format_that_writes("a.one.gz", "picks").name == "short"
    assert format_that_writes("a.mrc", "picks", "short").name == "short"


def test_a_new_file_whose_suffix_two_formats_have_gets_neither(register):
    register("one", (".one",), writes={"picks": print})
    register("two", (".one",), writes={"picks": print})

    with pytest.raises(UnknownFormatError, match=r"'one' and 'two' have its suffix.*file_format='one'") as caught:
        format_that_writes("a.one", "picks")

    assert (caught.value.candidates, caught.value.kind, caught.value.suffix) == (["one", "two"], "picks", ".one")


def test_a_new_file_of_an_unknown_suffix_is_told_which_formats_write_it(register):
    register("one", (".one", ".1"), writes={"picks": print})
    register("reader", (".png",), reads={"picks": print})

    with pytest.raises(UnknownFormatError, match=r"writes picks to a file with suffix '\.png'.*one \(\.one \.1\)") as caught:
        format_that_writes("a.png", "picks")

    assert "reader (" not in str(caught.value)
    assert caught.value.candidates == []


def test_a_new_file_without_a_suffix_is_called_one(register):
    with pytest.raises(UnknownFormatError, match="to a file without suffix"):
        format_that_writes("a", "picks")


@pytest.mark.parametrize(
    ("find", "said"), [(format_that_reads, "does not read volumes"), (format_that_writes, "does not write volumes")]
)
def test_a_format_that_was_chosen_for_what_it_cannot_do_is_named(register, find, said):
    register("points", (".one",), reads={"picks": print}, writes={"picks": print})

    with pytest.raises(UnknownFormatError, match=f"the format 'points' {said}") as caught:
        find("a.one", "volume", "points")

    assert caught.value.candidates == ["points"]
    assert caught.value.install is None


def test_a_list_of_tomograms_is_known_by_its_content_before_its_suffix(register, tmp_path):
    register("list", (".lst",), sniff=lambda path, head: head.startswith(b"LIST"), reads={"tomograms": print})
    register("other", (".oth",), reads={"tomograms": print})
    register("volume", (".vol",), sniff=lambda path, head: head.startswith(b"VOL"), reads={"volume": print})

    def found(name, content):
        chosen = format_that_lists(file(tmp_path / name, content))
        return chosen and chosen.name

    assert found("a.oth", b"LIST") == "list"
    assert found("a.oth", b"?") == "other"
    assert found("a.lst", b"?") == "list"
    assert found("a.vol", b"VOL") is None
    assert found("a", b"?") is None


def test_what_is_no_file_lists_no_tomograms(register, tmp_path):
    register("list", (".lst",), reads={"tomograms": print})
    (tmp_path / "a.lst").mkdir()

    assert format_that_lists(str(tmp_path / "a.lst")) is None
    assert format_that_lists(str(tmp_path / "missing.lst")) is None


def test_a_format_that_was_chosen_lists_tomograms_if_it_reads_lists_and_no_volumes(register):
    register("list", reads={"tomograms": print, "picks": print})
    register("both", reads={"tomograms": print, "volume": print})
    register("volume", reads={"volume": print})

    chosen = [format_that_lists("missing", name) for name in ("list", "both", "volume")]

    assert [record and record.name for record in chosen] == ["list", None, None]


def test_where_a_format_has_no_options_that_is_said(register, tmp_path):
    register("plain", (".one",), reads={"volume": lambda path: None})

    with pytest.raises(TypeError, match=r"'plain' has no option 'fill' for a volume; it has none\."):
        read_volume(file(tmp_path / "a.one", b""), fill=7)


def test_why_a_format_cannot_tell_what_is_its_own_is_logged(register, tmp_path, caplog):
    register("frail", (), sniff=lambda path, head: 1 / 0, reads={"tomograms": print})

    assert format_that_lists(file(tmp_path / "a", b"")) is None

    (record,) = caplog.records
    assert "Format 'frail' cannot tell whether" in record.message
    assert record.exc_info[0] is ZeroDivisionError
