"""What commands share: opening the project, and failing with one line."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn what a user can mend into one line and exit code 1."""
    from pydantic import ValidationError

    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except ValidationError as error:
        raise click.ClickException("; ".join(str(e["msg"]) for e in error.errors())) from error
    except (ValueError, OSError, RuntimeError, KeyError, NotImplementedError) as error:
        raise click.ClickException(str(error)) from error


def one_line_errors(function: F) -> F:
    """:func:`errors_in_one_line` for a command."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("debug"):
            logging.getLogger().setLevel(logging.DEBUG)
        with errors_in_one_line():
            return function(*args, **kwargs)

    return command  # type: ignore[return-value]


def opened(config: str | None) -> Any:
    """The project of ``--config``.

    Raises:
        click.UsageError: There is none.
    """
    if not config:
        raise click.UsageError("Give the project's configuration: --config, or the variable COPICK_CONFIG.")
    from copick.ops.open import from_file

    return from_file(config)


def mapping(text: str | None) -> dict[str, str] | None:
    """``a:b,c:d`` as a dict; None for nothing.

    Raises:
        click.BadParameter: It is something else.
    """
    if not text:
        return None
    pairs = [part.split(":", 1) for part in text.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise click.BadParameter(f"{text!r} is not a list such as a:b,c:d")
    return {a.strip(): b.strip() for a, b in pairs}


def listed(text: str | None) -> list[str] | None:
    """``a,b`` as a list; None for nothing."""
    return [part.strip() for part in text.split(",") if part.strip()] or None if text else None


def options(*decorators: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several decorators as one, shown in help in this order."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def runs_by_number(path: str | None) -> Mapping[str, str] | None:
    """Runs by their number, from a file with a number and a run in each line; commas, tabs or spaces part them."""
    if path is None:
        return None
    found: dict[str, str] = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            parts = line.replace(",", " ").split()
            if len(parts) >= 2 and parts[0].lstrip("-").isdigit():
                found[str(int(parts[0]))] = parts[1]
    return found
