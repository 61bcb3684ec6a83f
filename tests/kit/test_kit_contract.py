"""A contract sentence stands in a docstring and in the kit, or it is not a contract."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import copick_core.testing  # noqa: F401 - checks register their sentences
from copick_core.layers import Layer
from copick_core.testing.contract import SENTENCES, ContractBroken, promises

DOCSTRINGS = [Layer.__doc__, *(member.__doc__ for name, member in vars(Layer).items() if inspect.isfunction(member))]


def plain(text):
    return re.sub(r"\s+", " ", text)


TEXT = " ".join(plain(text) for text in DOCSTRINGS if text)


@pytest.mark.parametrize(
    "sentence", sorted({s for c, s in SENTENCES.items() if not c.startswith(("Project", "StaticBackendTests"))})
)
def test_what_a_check_quotes_stands_in_the_contract(sentence):
    assert plain(sentence) in TEXT


def prose(docstring):
    """Sentences of a docstring between its summary and its sections."""
    text = plain(re.split(r"\n\s*(?:Args|Attributes|Example|Raises|Returns):", inspect.cleandoc(docstring))[0])
    return re.split(r"(?<=[.])\s+(?=[A-Z:`])", text)[1:]


#: What implementers call, and nobody else.
HELPERS = {"check_writable", "no_record", "refusal", "unwrap"}

PROSE = [
    sentence
    for name, member in [("Layer", Layer), *vars(Layer).items()]
    if not name.startswith("_") and name not in HELPERS and member.__doc__ and (member is Layer or inspect.isfunction(member))
    for sentence in prose(member.__doc__)
    if not sentence.startswith("Each of these sentences")
]


@pytest.mark.parametrize("sentence", PROSE)
def test_what_the_contract_says_is_quoted_by_a_check(sentence):
    quoted = [plain(quote).rstrip(".") for quote in SENTENCES.values()]

    assert any(quote in sentence or sentence.rstrip(".") in quote for quote in quoted)


def test_a_broken_promise_is_quoted_with_what_was_seen():
    @promises("Water flows downhill.")
    def check():
        assert "uphill" == "downhill"

    with pytest.raises(ContractBroken, match=r"(?s)“Water flows downhill.”.*Seen: .*uphill") as caught:
        check()

    assert caught.value.sentence == "Water flows downhill."


def test_any_error_is_a_broken_promise():
    @promises("Water flows downhill.")
    def check():
        raise OSError("the river is dry")

    with pytest.raises(ContractBroken, match="Seen: OSError: the river is dry"):
        check()


@pytest.mark.parametrize("suite", ["test_conformance_layers.py::TestMemoryLayer", "test_conformance_backends.py::TestMemory"])
def test_random_histories_come_after_all_fixed_checks(suite):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(Path(__file__).with_name(suite))], capture_output=True, text=True, check=False)

    checks = [line for line in done.stdout.splitlines() if "::" in line]

    assert "histories" in checks[-1]
    assert [check for check in checks[:-1] if "histories" in check] == []
