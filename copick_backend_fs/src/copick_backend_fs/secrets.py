"""Passwords in the location of a project, which errors of libraries repeat."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PASSWORD = re.compile(r"://[^/@:]*:([^/]*)@")


def without_secrets(error: Exception, url: str) -> Exception:
    """The same error without the passwords of a URL; the error itself if neither it nor what caused it tells one.

    Raised ``from None``, so that a traceback shows none either.
    """
    secrets = [secret for secret in _PASSWORD.findall(url) if secret]
    if not any(secret in str(one) for secret in secrets for one in _chain(error)):
        return error

    def hidden(value: object) -> object:
        if not isinstance(value, str):
            return value
        for secret in secrets:
            value = value.replace(secret, "***")
        return value

    if type(error).__module__ != "builtins":  # a library's, whose class may want arguments of its own
        return OSError(hidden(str(error)))
    if isinstance(error, OSError) and error.errno is not None:
        return type(error)(error.errno, hidden(error.strerror), hidden(error.filename))
    return type(error)(*map(hidden, error.args))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
