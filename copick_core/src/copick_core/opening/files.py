"""Files of configurations, local and remote: read whole, written all or nothing."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from copick_core.errors import ConfigError, ConfigNotFoundError, redacted
from copick_core.opening.locations import is_remote, local_path


def read(name: str) -> bytes:
    """Read a file.

    Raises:
        ConfigNotFoundError: There is none.
        ConfigError: It cannot be read.
    """
    try:
        if is_remote(name):
            fs, path = _remote(name)
            with _reaching(name):
                data: bytes = fs.cat_file(path)
        else:
            with open(local_path(name), "rb") as file:
                data = file.read()
    except FileNotFoundError as error:
        raise ConfigNotFoundError(source=name, location=name if is_remote(name) else local_path(name)) from error
    except OSError as error:
        raise ConfigError(source=name, reason=f"it cannot be read: {redacted(error.strerror or str(error))}") from error
    return data


def write(name: str, data: bytes, check: Callable[[], None]) -> None:
    """Write a file, all or nothing.

    Args:
        name: Path or URL.
        data: Its content.
        check: Called before anything is replaced (of a local file: under its lock); raises if it must not be.
    """
    if is_remote(name):
        check()
        fs, path = _remote(name)
        with _reaching(name):
            fs.pipe_file(path, data)
        return
    from copick_core.layers.atomic import replace_file

    path = os.path.realpath(local_path(name))  # a link stays one
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace_file(path, data, check)


def digest(data: bytes) -> str:
    """What is equal for equal bytes."""
    import hashlib

    return hashlib.sha256(data).hexdigest()


def parse_json(data: bytes | str, source: str) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        ConfigError: It is none; ``source`` names what was read.
    """
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass")
        content = json.loads(text)
        if "\\ud" in text.lower():  # half a character, which no name or path can have
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ConfigError(source=source, reason=f"it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(source=source, reason=f"it is a JSON {type(content).__name__}, not an object")
    return content


def _remote(name: str) -> tuple[Any, str]:
    """File system of a URL, and the path on it."""
    from copick_core.errors import MissingDependencyError
    from copick_core.plugins import install_line

    feature = f"A config file at {redacted(name)}"
    try:
        import fsspec  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise MissingDependencyError(feature=feature, install=str(install_line("packages", "fsspec"))) from error
    try:
        fs, path = fsspec.core.url_to_fs(name)
    except ImportError as error:
        raise MissingDependencyError(feature=feature, install=f"pip: {error}") from error
    except ValueError as error:  # fsspec does not know the protocol
        raise ConfigError(source=name, reason=f"it cannot be read: {redacted(str(error))}") from error
    return fs, path


@contextlib.contextmanager
def _reaching(name: str) -> Iterator[None]:
    """Raise ConfigError for what is not an OSError: libraries of file systems have errors of their own, as botocore does."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise ConfigError(
            source=name, reason=f"it cannot be reached: {type(error).__name__}: {redacted(str(error))}"
        ) from error
