"""Progress of what takes long, on standard error, never on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(total: int, title: str, shown: bool | None = None) -> Iterator[Callable[[str], None]]:
    """Shows a bar while its body runs.

    Args:
        total: How many steps there are.
        title: What is being done.
        shown: True shows the bar, False does not; None shows it if standard error is a terminal.

    Yields:
        ``advance(step)``: call it with the name of each step when it begins.
    """
    if not (sys.stderr.isatty() if shown is None else shown):
        yield lambda step: None
        return
    with tqdm(
        total=total, desc=title, file=sys.stderr, leave=False, bar_format="{desc} {n_fmt}/{total_fmt} |{bar}| {postfix}"
    ) as bar:
        started = 0

        def advance(step: str) -> None:
            nonlocal started
            if started:
                bar.update(1)
            started += 1
            bar.set_postfix_str(step)

        yield advance
        bar.update(bar.total - bar.n)
