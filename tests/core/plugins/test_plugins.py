"""Discovery of backends, with real distributions on sys.path."""

import subprocess
import sys
import textwrap

import pytest

import copick_core
from copick_core import plugins
from copick_core.errors import BackendError, ConfigError, UnknownBackendError
from copick_core.layers import Layers
from copick_core.plugins import Backend, discovery
from copick_core.tree.schema import CopickConfig
from support.locks import waits_for

PLUGIN = """
from copick_core.layers import Layers
from copick_core.plugins import Backend, hookimpl
from copick_core.tree.schema import CopickConfig

@hookimpl
def copick_backend():
    return Backend({config_type!r}, api_version={api_version}, config_cls=CopickConfig, open_layers=lambda c: Layers())
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one backend: a module and a dist-info folder, as pip leaves them."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution, config_type, source=None, **record):
        module = distribution.replace("-", "_")
        fields = {"config_type": config_type, "api_version": Backend.API_VERSION} | record
        (site / f"{module}.py").write_text(PLUGIN.format(**fields) if source is None else textwrap.dedent(source))
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[copick.backends]\n{config_type} = {module}\n")
        plugins.reset()
        return module

    yield install
    plugins.reset()


def row(config_type):
    return next(r for r in plugins.backends.installed() if r.name == config_type)


def test_installed_names_distribution_and_version_without_importing(install):
    module = install("their-backend", "theirs")
    assert (row("theirs").distributions, row("theirs").versions, row("theirs").state) == (
        ("their-backend",),
        ("1.2",),
        "available",
    )
    assert module not in sys.modules


def test_only_the_backend_that_is_asked_for_is_imported(install):
    other = install("other-backend", "other")
    wanted = install("their-backend", "theirs")
    copick_core.open({"config_type": "theirs"})
    assert wanted in sys.modules
    assert other not in sys.modules
    assert row("theirs").state == "loaded"


def test_a_broken_backend_tells_its_cause_and_leaves_the_others_alone(install):
    install("broken-backend", "broken", source="import a_package_that_nobody_has")
    install("their-backend", "theirs")
    with pytest.raises(BackendError, match=r"broken-backend.*a_package_that_nobody_has"):
        copick_core.open({"config_type": "broken"})
    assert row("broken").state == "broken"
    assert "a_package_that_nobody_has" in row("broken").cause
    copick_core.open({"config_type": "theirs"})


def test_two_distributions_that_claim_one_type_are_both_named_and_neither_is_chosen(install):
    one = install("one-backend", "theirs")
    two = install("two-backend", "theirs")
    with pytest.raises(BackendError, match=r"one-backend and two-backend|two-backend and one-backend") as caught:
        copick_core.open({"config_type": "theirs"})
    assert sorted(caught.value.distributions) == ["one-backend", "two-backend"]
    assert row("theirs").state == "duplicate"
    assert not {one, two} & set(sys.modules)


def test_a_backend_for_another_version_of_the_interface_is_refused(install):
    install("old-backend", "old", api_version=0)
    with pytest.raises(BackendError, match="version 0 of the backend interface"):
        copick_core.open({"config_type": "old"})


def test_a_record_that_differs_from_its_entry_point_is_refused(install):
    install("odd-backend", "odd", source=PLUGIN.format(config_type="even", api_version=Backend.API_VERSION))
    with pytest.raises(BackendError, match=r"'odd'.*'even'"):
        copick_core.open({"config_type": "odd"})


def test_a_module_without_the_hook_is_refused(install):
    install("empty-backend", "empty", source="x = 1")
    with pytest.raises(BackendError, match="one hook implementation"):
        copick_core.open({"config_type": "empty"})


def test_a_hook_with_other_arguments_is_refused(install):
    source = """
    from copick_core.plugins import hookimpl

    @hookimpl
    def copick_backend(config): ...
    """
    install("wrong-backend", "wrong", source=source)
    with pytest.raises(BackendError, match="copick_backend"):
        copick_core.open({"config_type": "wrong"})


def test_an_unknown_type_lists_what_is_installed_and_the_closest_spelling():
    with pytest.raises(UnknownBackendError, match=r"filesystem.*Did you mean 'memory'\?") as caught:
        copick_core.open({"config_type": "memroy"})
    assert "filesystem" in caught.value.installed
    assert isinstance(caught.value, ConfigError)


def test_a_known_type_that_is_not_installed_gives_the_pip_line(monkeypatch):
    monkeypatch.setitem(plugins.known()["backends"], "not_here", "copick-core[not_here]")
    with pytest.raises(UnknownBackendError, match=r'pip install "copick-core\[not_here\]"'):
        copick_core.open({"config_type": "not_here"})


def test_a_registered_backend_opens_and_reset_forgets_it():
    backend = Backend("mine", Backend.API_VERSION, CopickConfig, lambda config: Layers())
    plugins.register(backend)
    assert copick_core.open({"config_type": "mine"}).read_only
    plugins.reset()
    with pytest.raises(UnknownBackendError):
        copick_core.open({"config_type": "mine"})


def test_registering_over_an_installed_backend_is_refused():
    with pytest.raises(BackendError, match="copick-backend-memory"):
        plugins.register(Backend("memory", Backend.API_VERSION, CopickConfig, lambda config: Layers()))


def test_opening_a_filesystem_project_imports_no_other_backend_and_no_storage(tmp_path):
    code = (
        "import copick_core, sys; "
        f"copick_core.open({{'config_type': 'filesystem', 'overlay_root': {str(tmp_path)!r}}}).runs; "
        "heavy = ['zarr', 'fsspec', 'trimesh', 'pandas', 'rich', 'numpy', 'copick_backend_memory', 'asyncio']; "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MINE = Backend("mine", Backend.API_VERSION, CopickConfig, lambda config: Layers())

LOCKED = {
    "names": lambda: plugins.backends.names(),
    "installed": lambda: plugins.backends.installed(),
    "get": lambda: plugins.backends.get("memory"),
    "register": lambda: plugins.register(MINE),
    "unusable": lambda: plugins.backends.unusable("mine", "it is only a test"),
    "reset": lambda: plugins.backends.reset(),
    "entry points": lambda: discovery.entry_points_of("copick.backends"),
}


@pytest.mark.parametrize("call", LOCKED)
def test_what_is_known_of_plugins_is_read_or_changed_by_one_thread_at_a_time(call):
    LOCKED[call]()

    try:
        assert waits_for(discovery._lock, LOCKED[call])
    finally:
        plugins.reset()


def test_what_is_known_of_all_plugins_is_forgotten_in_one_step(monkeypatch):
    monkeypatch.setattr(discovery, "REGISTRIES", ())

    assert waits_for(discovery._lock, plugins.reset)


def test_another_record_of_a_name_that_was_registered_is_refused_and_the_same_one_is_not():
    other = Backend("mine", Backend.API_VERSION, CopickConfig, lambda config: Layers())
    try:
        plugins.register(MINE)
        plugins.register(MINE)

        with pytest.raises(BackendError, match="another backend was registered under this name") as caught:
            plugins.register(other)

        assert (caught.value.config_type, caught.value.distributions) == ("mine", [])
        assert plugins.backends.get("mine") is MINE
    finally:
        plugins.reset()


def test_a_record_for_another_version_cannot_be_registered():
    with pytest.raises(BackendError, match=r"version 99 .* Upgrade copick-core") as caught:
        plugins.register(Backend("mine", 99, CopickConfig, lambda config: Layers()))

    assert caught.value.distributions == ["register()"]
    assert "mine" not in plugins.backends.names()


def test_what_is_no_record_cannot_be_registered():
    with pytest.raises(TypeError, match="'mine' is not a Backend, Command, Format or LayerWrapper"):
        plugins.register("mine")
