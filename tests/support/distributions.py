"""Installed distributions, as pip leaves them: a module and a dist-info folder."""

import textwrap
from pathlib import Path


def install(site: Path, distribution: str, group: str, names: list[str], source: str) -> str:
    """Install a distribution whose module has the given source, with an entry point of that group for each name."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    info = site / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *(f"{name} = {module}" for name in names)]) + "\n")
    return module
