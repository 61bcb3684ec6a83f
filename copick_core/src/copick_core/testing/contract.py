"""How a check names the sentence of the contract that it proves.

Every check of the kit carries a sentence that stands in a docstring of :mod:`copick_core.layers` (or, for whole projects,
in :data:`copick_core.testing.backends.PROMISES`). A check that fails says which sentence is broken and what was seen.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import pytest

P = ParamSpec("P")

#: Sentences that checks prove, by the names of the checks.
SENTENCES: dict[str, str] = {}


class ContractBroken(AssertionError):  # noqa: N818 - it is the sentence that a reader of a failed test sees first
    """A promise of the contract is not kept.

    Attributes:
        sentence: The sentence that is broken.
    """

    def __init__(self, sentence: str, seen: str) -> None:
        super().__init__(f"Contract broken: “{sentence}”\nSeen: {seen}")
        self.sentence = sentence


def promises(sentence: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorate a check with the sentence that it proves.

    Args:
        sentence: The sentence, as it stands in the contract.
    """

    def decorate(check: Callable[P, None]) -> Callable[P, None]:
        SENTENCES[check.__qualname__] = sentence

        @functools.wraps(check)
        def checked(*args: P.args, **kwargs: P.kwargs) -> None:
            __tracebackhide__ = True
            try:
                check(*args, **kwargs)
            except ContractBroken:
                raise
            except AssertionError as error:
                raise ContractBroken(sentence, str(error)) from error
            except pytest.fail.Exception as error:
                raise ContractBroken(sentence, str(error.msg)) from error
            except Exception as error:
                raise ContractBroken(sentence, f"{type(error).__name__}: {error}") from error

        return checked

    return decorate
