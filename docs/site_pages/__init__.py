"""Pages of the site that are made from the code: the reference of names, configuration fields and commands."""

from __future__ import annotations

from pathlib import Path

from site_pages import api, commands, configuration, readmes


def pages() -> dict[str, str]:
    """Every generated page: its path below docs/reference, and its text."""
    modules = {f"{name}.rst": text for name, text in api.pages().items()}
    single = {"api.rst": api.index(), "fields.md": configuration.page(), "commands.md": commands.page()}
    return {**single, **modules, **readmes.pages()}


def write(folder: Path) -> None:
    """Write the pages whose text has changed, and remove those that are no longer made.

    Args:
        folder: docs/reference; made if it does not exist.
    """
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.iterdir():
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
