"""The command line: ``python -m copick_core`` and the console script ``copick-core``.

Results go to standard output; progress, warnings and errors to standard error. Exit code 0 means done, 1 that the request
failed (with one ``error:`` line that gives the reason), 2 that it was not understood, 130 that it was interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: The variable through which a shell asks for completions; click's own protocol.
COMPLETE = "_COPICK_CORE_COMPLETE"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    if argv is not None:
        return _main(list(argv))
    from copick_core.cli import quick

    quick.start()
    try:
        return _main(sys.argv[1:])
    finally:
        quick.end()


def _main(arguments: list[str]) -> int:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # It was closed (`>&-`): writing to nobody is not an error.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # A console without Å or box lines shows ? instead of failing.
    try:
        with _plain_warnings():
            code = _run(arguments)
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


def _run(arguments: list[str]) -> int:
    """Runs one command; gives its exit code. What a command returns is not one, as in click's own standalone mode."""
    import click

    from copick_core.cli.frame import command_line

    if instruction := os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(command_line, {}, "copick-core", COMPLETE, instruction)
    try:
        with command_line.make_context("copick-core", arguments) as context:
            command_line.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        print("error: interrupted", file=sys.stderr)
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except click.UsageError as error:
        text = " ".join(error.format_message().split())
        way_out = f"{'' if text.endswith(('.', '?')) else '.'} Try: {error.ctx.command_path} --help" if error.ctx else ""
        print(f"error: {text}{way_out}", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        print(f"error: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    return 0


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Prints warnings in one line, without the code that they come from."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *where, **more: f"warning: {message}\n"
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _message(error: BaseException) -> str:
    """The message of an error, with its kind where the message alone would be too little."""
    text = str(error).strip()
    if isinstance(error, KeyError) and type(error) is KeyError:
        return f"KeyError: {text}"
    return text or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
