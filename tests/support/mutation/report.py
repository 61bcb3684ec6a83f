"""The table of a sample of mutations, as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from .running import Result


def as_json(results: Sequence[Result], **about: object) -> str:
    """Return the results with what they are about (commit, seed)."""
    return json.dumps({**about, "results": [asdict(result) for result in results]}, indent=1)


def as_markdown(results: Sequence[Result], **about: object) -> str:
    """Return the counts, a table of all mutations, and the changes that no test notices."""
    killed = sum(bool(result.killed_by) for result in results)
    head = ", ".join(f"{name} {value}" for name, value in about.items())
    rows = [
        f"| {r.mutation.path}:{r.line} | {r.mutation.kind} | {_cell(r.killed_by)} | {r.tests} | {r.seconds:.0f} |"
        for r in results
    ]
    table = ["| place | mutation | killed by | tests | seconds |", "|---|---|---|---|---|", *rows]
    lost = [f"{r.mutation.path}:{r.line} ({r.mutation.kind})\n\n```diff\n{r.diff}\n```\n" for r in results if not r.killed_by]
    text = [f"{killed} of {len(results)} mutations are killed ({head}).", "", *table]
    return "\n".join([*text, "", "Survivors:", "", *lost] if lost else text) + "\n"


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|")[:160] + "`" if text else "**survives**"
