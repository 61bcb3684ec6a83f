"""Plugins that a test installs, as pip leaves them."""

import sys
import textwrap

import pytest

from copick_core import plugins


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one plugin: a module and a dist-info folder."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(distribution, group, name, source):
        module = distribution.replace("-", "_")
        monkeypatch.delitem(sys.modules, module, raising=False)
        (site / f"{module}.py").write_text(textwrap.dedent(source))
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        plugins.reset()
        return module

    yield install
    plugins.reset()
