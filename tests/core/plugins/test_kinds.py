"""What holds for plugins of every kind, with real distributions on sys.path."""

import sys

import pytest

from copick_core import plugins
from copick_core.errors import BackendError, PluginError, UnknownBackendError, UnknownPluginError
from copick_core.plugins.discovery import REGISTRIES
from support import distributions

#: By kind: the registry, its hook, and how a record is written down.
KINDS = {
    "backend": (plugins.backends, "copick_backend", "Backend({name!r}, {version}, CopickConfig, lambda config: None)"),
    "command": (plugins.commands, "copick_command", "Command({name!r}, {version}, 'a_module_of_theirs:command', 'does it')"),
    "format": (
        plugins.formats,
        "copick_format",
        "Format({name!r}, {version}, ('.x',), 'a_module_of_theirs:sniff')",
    ),
    "wrapper": (plugins.wrappers, "copick_layer_wrapper", "LayerWrapper({name!r}, {version}, 'a_module_of_theirs:wrap')"),
}


class Kind:
    """Installs plugins of one kind."""

    def __init__(self, kind, site):
        self.kind = kind
        self.site = site
        self.registry, self.hook, self._record = KINDS[kind]

    def record(self, name, version=1):
        return self._record.format(name=name, version=version)

    def source(self, answer):
        return f"""
from copick_core.plugins import Backend, Command, Format, LayerWrapper, hookimpl
from copick_core.tree.schema import CopickConfig

@hookimpl
def {self.hook}():
    return {answer}
"""

    def install(self, distribution, *names, source=None):
        source = self.source(self.record(names[0])) if source is None else source
        module = distributions.install(self.site, distribution, self.registry.group, [*names], source)
        plugins.reset()
        return module

    def row(self, name):
        return next(row for row in self.registry.installed() if row.name == name)


@pytest.fixture(params=KINDS)
def kind(request, tmp_path, monkeypatch):
    """One kind of plugin, and an empty folder on sys.path to install some."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Kind(request.param, tmp_path)
    plugins.reset()
    for name in [name for name in sys.modules if name.endswith("_plugin")]:
        del sys.modules[name]


def test_every_registry_is_tested_here():
    assert {registry.kind for registry in REGISTRIES} == {*KINDS}


def test_listing_imports_nothing(kind):
    module = kind.install("their-plugin", "theirs")

    row = kind.row("theirs")

    assert (row.kind, row.distributions, row.versions, row.state) == (kind.kind, ("their-plugin",), ("1.2",), "available")
    assert module not in sys.modules


def test_only_the_plugin_that_is_asked_for_is_imported(kind):
    other = kind.install("other-plugin", "other")
    wanted = kind.install("wanted-plugin", "wanted")

    assert kind.registry.get("wanted").name == "wanted"

    assert wanted in sys.modules
    assert other not in sys.modules
    assert (kind.row("wanted").state, kind.row("other").state) == ("loaded", "available")


def test_an_unknown_name_lists_what_is_installed_and_the_closest_spelling(kind):
    kind.install("their-plugin", "theirs")

    with pytest.raises((UnknownPluginError, UnknownBackendError), match="Did you mean 'theirs'") as caught:
        kind.registry.get("thiers")

    assert "theirs" in caught.value.installed


def test_a_known_name_that_is_not_installed_gives_the_install_line(kind, monkeypatch):
    monkeypatch.setitem(plugins.known()[f"{kind.kind}s"], "absent", "copick-core[absent]")

    with pytest.raises((UnknownPluginError, UnknownBackendError), match=r'pip install "copick-core\[absent\]"'):
        kind.registry.get("absent")


@pytest.mark.parametrize("source", ["import a_package_that_nobody_has", "raise SystemExit('a_package_that_nobody_has')"])
def test_a_broken_plugin_gives_its_cause_and_leaves_the_others_alone(kind, source):
    kind.install("broken-plugin", "broken", source=source)
    kind.install("their-plugin", "theirs")

    with pytest.raises(PluginError, match=r"broken-plugin.*a_package_that_nobody_has"):
        kind.registry.get("broken")

    assert kind.row("broken").state == "broken"
    assert "a_package_that_nobody_has" in kind.row("broken").cause
    assert "theirs" in [record.name for record in kind.registry.usable()]


def test_two_distributions_that_claim_one_name_are_both_named_and_neither_is_imported(kind):
    modules = {kind.install("one-plugin", "theirs"), kind.install("two-plugin", "theirs")}

    with pytest.raises(PluginError, match="Uninstall one of them") as caught:
        kind.registry.get("theirs")

    assert sorted(caught.value.distributions) == ["one-plugin", "two-plugin"]
    assert kind.row("theirs").state == "duplicate"
    assert not modules & {*sys.modules}


@pytest.mark.parametrize(("version", "way_out"), [(0, "Upgrade it"), (99, "Upgrade copick-core")])
def test_a_plugin_for_another_version_of_the_interface_is_refused(kind, version, way_out):
    kind.install("dated-plugin", "dated", source=kind.source(kind.record("dated", version)))

    with pytest.raises(PluginError, match=rf"version {version} of the {kind.kind} interface.*{way_out}"):
        kind.registry.get("dated")


def test_a_record_that_differs_from_its_entry_point_is_refused(kind):
    kind.install("odd-plugin", "odd", source=kind.source(kind.record("even")))

    with pytest.raises(PluginError, match=r"'odd'.*'even'"):
        kind.registry.get("odd")


def test_several_entry_points_of_one_module_each_get_their_record(kind):
    kind.install("pair-plugin", "one", "two", source=kind.source(f"[{kind.record('one')}, {kind.record('two')}]"))

    assert [kind.registry.get(name).name for name in ("one", "two")] == ["one", "two"]


def test_an_entry_point_without_a_record_among_several_is_refused(kind):
    kind.install("pair-plugin", "three", source=kind.source(f"[{kind.record('one')}, {kind.record('two')}]"))

    with pytest.raises(PluginError, match=r"'three'.*'one', 'two'"):
        kind.registry.get("three")


@pytest.mark.parametrize("source", ["x = 1", "{hook} = 3", "answer"])
def test_a_module_without_the_hook_or_with_another_answer_is_refused(kind, source):
    source = kind.source("'a text'") if source == "answer" else source.format(hook=kind.hook)
    kind.install("empty-plugin", "empty", source=source)

    with pytest.raises(PluginError, match=rf"one hook implementation {kind.hook}"):
        kind.registry.get("empty")


def test_what_a_record_names_as_text_is_imported_late_and_a_failure_is_listed(kind):
    if kind.kind == "backend":
        record = "Backend('late', 1, CopickConfig, lambda config: None, new_config='a_module_of_theirs:new_config')"
    else:
        record = kind.record("late")
    kind.install("late-plugin", "late", source=kind.source(record))
    assert kind.registry.get("late").name == "late"

    with pytest.raises(PluginError, match="a_module_of_theirs"):
        kind.registry.check("late")

    assert kind.row("late").state == "broken"
    assert "No module named 'a_module_of_theirs'" in kind.row("late").cause


def late(kind, module="a_module_of_theirs"):
    """Install a plugin whose record names a module."""
    record = kind.record("late").replace("lambda config: None", "'a_module_of_theirs:open_layers'")
    kind.install("late-plugin", "late", source=kind.source(record.replace("a_module_of_theirs", module)))


def test_a_module_that_a_record_names_is_looked_for_without_importing_it(kind):
    late(kind)
    (kind.site / "a_module_of_theirs.py").write_text("import a_package_that_nobody_has")

    kind.registry.check("late", importing=False)

    assert kind.row("late").state == "loaded"
    assert "a_module_of_theirs" not in sys.modules


def test_a_module_that_a_record_names_and_nobody_has_is_told(kind):
    late(kind)

    with pytest.raises(PluginError, match=r"late-plugin.*names a_module_of_theirs:.*no such module"):
        kind.registry.check("late", importing=False)

    assert kind.row("late").state == "broken"


def test_a_package_that_fails_around_a_module_that_is_looked_for_gives_its_cause(kind):
    (kind.site / "a_package_of_theirs").mkdir()
    (kind.site / "a_package_of_theirs" / "__init__.py").write_text("import a_package_that_nobody_has")
    late(kind, "a_package_of_theirs.inside")

    with pytest.raises(PluginError, match=r"looking for a_package_of_theirs\.inside failed.*a_package_that_nobody_has"):
        kind.registry.check("late", importing=False)


def test_a_hook_is_called_once_for_all_its_entry_points(kind):
    answer = f"calls.append(1) or [{kind.record('one')}, {kind.record('two')}]"
    module = kind.install("pair-plugin", "one", "two", source=f"calls = []\n{kind.source(answer)}")

    assert [kind.registry.get(name).name for name in ("one", "two")] == ["one", "two"]

    assert len(sys.modules[module].calls) == 1


def test_a_backend_that_cannot_be_imported_is_broken_when_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    backend = Kind("backend", tmp_path)
    record = "Backend('late', 1, 'a_module_of_theirs:Config', 'a_module_of_theirs:open_layers')"
    backend.install("late-plugin", "late", source=backend.source(record))

    assert plugins.backends.look("late").name == "late"
    with pytest.raises(BackendError, match="No module named 'a_module_of_theirs'"):
        plugins.backends.get("late")

    assert backend.row("late").state == "broken"
    plugins.reset()
