"""The command line: ``python -m copick_core`` and the console script ``copick-core``.

Results go to standard output; progress, warnings and errors to standard error. Exit code 0 means done, 1 that the request
failed (with one ``error:`` line that says why), 2 that it could not be understood.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple


class Command(NamedTuple):
    """One subcommand.

    Attributes:
        name: What is typed.
        help: One line for the overview.
        module: Where ``add_arguments(parser)`` and ``run(args) -> int`` are; imported only for this subcommand.
    """

    name: str
    help: str
    module: str


COMMANDS = (
    Command("demo", "make an example project, annotate it in an overlay, and draw a picture of it", "copick_core.cli.demo"),
    Command("volume", "examine, convert and mesh the shared volume of a segmentation web app", "copick_core.cli.volume"),
    Command("backends", "list the installed storage backends", "copick_core.cli.backends"),
    Command("config", "make the configuration of a new project", "copick_core.cli.config"),
    Command("cache", "show or delete what a project keeps on disk of a remote place", "copick_core.cli.cache"),
    Command("copy", "copy a project into another one, of any backend", "copick_core.cli.copy"),
    Command("new-backend", "write the skeleton of a storage backend, with its tests", "copick_core.cli.new_backend"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # It was closed (`>&-`): what is said to nobody is no error.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A console without Å or box lines shows ? instead of failing.
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    args = _parser(asked).parse_args(arguments)
    try:
        with _plain_warnings():
            code = int(importlib.import_module(args.module).run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`| head`): nobody is left to tell, and Python's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, LookupError, RuntimeError, ImportError, MemoryError) as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        return 1
    return code


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Say warnings in one line, without the code that they come from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *where, **more: f"warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _parser(asked: str | None) -> argparse.ArgumentParser:
    """The parser with every subcommand's name, and the arguments of the one that was asked for."""
    from copick_core import __version__

    parser = argparse.ArgumentParser(prog="copick-core", description="Storage for collaborative cryoET annotation.")
    parser.add_argument("--version", action="version", version=f"copick-core {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.name, help=command.help, description=f"{command.help.capitalize()}.")
        subparser.set_defaults(module=command.module)
        if command.name == asked:
            importlib.import_module(command.module).add_arguments(subparser)
    return parser


def _message(error: BaseException) -> str:
    """What an error says, with its kind where the message alone would say too little."""
    text = str(error).strip()
    if isinstance(error, KeyError) and type(error) is KeyError:
        return f"KeyError: {text}"
    return text or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
