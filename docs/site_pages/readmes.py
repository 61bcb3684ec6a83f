"""The README of every distribution, as a page of the site; and links that lead out of docs/."""

from __future__ import annotations

import re
from posixpath import normpath, relpath

from site_pages import distributions

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?!\w+:)[^)#\s]+)(#[^)]*)?\)")
_FENCE = re.compile(r"(^ *```.*?^ *```\n?)", re.M | re.S)


def pages() -> dict[str, str]:
    """A page for each distribution: its name below docs/reference, and its text."""
    found = {}
    for source in distributions.sources():
        folder = source.parent
        text = (folder / "README.md").read_text(encoding="utf-8")
        found[f"{folder.name}.readme.md"] = linked(text, folder.name, f"docs/reference/{folder.name}.readme")
    return found


def linked(text: str, folder: str, page: str) -> str:
    """Let links lead to where their targets are on the site.

    Links to READMEs of distributions lead to their pages. What the site does not have, such as a folder or the README of an
    example, is left as plain text.

    Args:
        text: Markdown.
        folder: Where its relative links start, from the root of the repository.
        page: The page that it becomes, likewise, without a suffix.
    """

    def replaced(match: re.Match[str]) -> str:
        words, target, anchor = match[1], normpath(f"{folder}/{match[2]}"), match[3] or ""
        readme = re.fullmatch(r"(copick_\w+)/README\.md", target)
        if readme:
            target = f"docs/reference/{readme[1]}.readme.md"
        elif not target.startswith("docs/") and (target.endswith(".md") or (distributions.REPOSITORY / target).is_dir()):
            return words
        return f"[{words}]({relpath(target, page.rpartition('/')[0])}{anchor})"

    parts = _FENCE.split(text)
    return "".join(part if i % 2 else _LINK.sub(replaced, part) for i, part in enumerate(parts))
