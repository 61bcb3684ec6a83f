"""What a mutation is, and the random ones: each changes one place of a source file, found by its syntax tree."""

from __future__ import annotations

import ast
import difflib
import random
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PICKED = Path(__file__).with_name("picked.toml")

_FLIPPED = {"==": "!=", "<": "<=", ">": ">=", "is": "is not", "in": "not in"}
_FLIPPED |= {new: old for old, new in _FLIPPED.items()}
_SIGNS: dict[type[ast.AST], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


class StaleMutationError(ValueError):
    """A mutation that was picked by hand does not fit the source any more."""


@dataclass(frozen=True)
class Mutation:
    """One change of one source file.

    Attributes:
        path: The file, relative to the repository.
        start: Where the changed text starts, in characters.
        old: The text that is changed.
        new: What is put there.
        kind: The operator, or why somebody picked it.
    """

    path: str
    start: int
    old: str
    new: str
    kind: str

    def applied(self, source: str) -> str:
        """Return the changed source."""
        if source[self.start : self.start + len(self.old)] != self.old:
            raise StaleMutationError(f"{self.path} does not have {self.old!r} at character {self.start}")
        return source[: self.start] + self.new + source[self.start + len(self.old) :]

    def lines(self, source: str) -> range:
        """Return the numbers of the lines that run when what is changed runs: those of its statement, or of its head."""
        first = source.count("\n", 0, self.start) + 1
        last = first + self.old.rstrip("\n").count("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.stmt) and node.lineno <= first and last <= (node.end_lineno or 0):
                body = getattr(node, "body", None)
                if not body:
                    return range(node.lineno, (node.end_lineno or 0) + 1)
                if first < body[0].lineno:
                    return range(min(node.lineno, first), max(body[0].lineno, last + 1))
        return range(first, last + 1)

    def runs_at_import(self, source: str) -> bool:
        """Return whether what is changed runs once, when its module is imported: then no test is known to depend on it."""
        line = source.count("\n", 0, self.start) + 1
        functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        return not any(function.body[0].lineno <= line <= (function.end_lineno or 0) for function in functions)

    def diff(self, source: str) -> str:
        """Return the change as `diff -U0` shows it, without its header."""
        made = difflib.unified_diff(source.splitlines(), self.applied(source).splitlines(), lineterm="", n=0)
        return "\n".join([*made][2:])


# An edit: the node or span that is replaced, and what with.
_Edit = tuple[int, int, str]


class _Source:
    """The text of a file with its tree; places in the tree as places in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def place(self, line: int, column: int) -> int:
        """Return the character at a line (from 1) and a column in bytes, as trees have them."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        if node.end_lineno is None or node.end_col_offset is None:
            raise ValueError(node)
        return self.place(node.lineno, node.col_offset), self.place(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        start, stop = self.span(node)
        return self.text[start:stop]

    def nodes(self) -> Iterator[ast.AST]:
        """Yield the nodes that run when tests do: no annotations, nothing under TYPE_CHECKING."""
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            node = waiting.pop()
            yield node
            for name, value in ast.iter_fields(node):
                if name in ("annotation", "returns", "decorator_list") or (isinstance(node, ast.If) and _is_typing(node)):
                    continue
                children = value if isinstance(value, list) else [value]
                waiting += [child for child in children if isinstance(child, ast.AST)]


def _is_typing(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _flipped_comparison(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _SIGNS:
        left, right = source.span(node.left), source.span(node.comparators[0])
        sign = _SIGNS[type(node.ops[0])]
        between = source.text[left[1] : right[0]]
        if between.count(sign) == 1:
            yield left[1], right[0], between.replace(sign, _FLIPPED[sign])


def _negated_condition(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.If | ast.While | ast.IfExp) and not (isinstance(node, ast.If) and _is_typing(node)):
        start, stop = source.span(node.test)
        yield start, stop, f"(not ({source.of(node.test)}))"


def _removed_statement(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    stored = isinstance(node, ast.Assign) and any(isinstance(t, ast.Attribute | ast.Subscript) for t in node.targets)
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    if stored or called or isinstance(node, ast.AugAssign | ast.Raise | ast.Delete | ast.Continue):
        start, stop = source.span(node)  # type: ignore[arg-type]  # all of these are statements
        yield start, stop, "pass"


def _constant_off_by_one(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        start, stop = source.span(node)
        yield start, stop, f"{node.value + 1}"
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        start, stop = source.span(node)
        yield start, stop, f"{not node.value}"


def _removed_with(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.With) and all(item.optional_vars is None for item in node.items):
        start, stop = source.span(node)[0], source.span(node.items[-1].context_expr)[1]
        # What follows up to the colon may close a parenthesis.
        yield start, source.text.index(":", stop), "if True"


def _dropped_keyword(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            if keyword.arg is not None and (len(node.args) + len(node.keywords) > 1):
                start, stop = source.span(keyword)
                tail = source.text[stop:]
                blank = len(tail) - len(tail.lstrip())
                if tail.lstrip().startswith(","):
                    yield start, stop + blank + 1, ""
                else:
                    yield source.text.rindex(",", 0, start), stop, ""


def _returned_none(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    returns = isinstance(node, ast.Return) and node.value is not None
    if returns and not (isinstance(node.value, ast.Constant) and node.value.value is None):  # type: ignore[attr-defined]
        start, stop = source.span(node)  # type: ignore[arg-type]
        yield start, stop, "return None"


def _swapped_and_or(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.BoolOp) and len(node.values) == 2:
        start, stop = source.span(node.values[0])[1], source.span(node.values[1])[0]
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        yield start, stop, source.text[start:stop].replace(old, new)


def _raised_again(source: _Source, node: ast.AST) -> Iterator[_Edit]:
    if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[0], ast.Raise):
        yield source.span(node.body[0])[0], source.span(node.body[-1])[1], "raise"


OPERATORS: dict[str, Callable[[_Source, ast.AST], Iterator[_Edit]]] = {
    "flipped comparison": _flipped_comparison,
    "negated condition": _negated_condition,
    "removed statement": _removed_statement,
    "constant off by one": _constant_off_by_one,
    "removed with": _removed_with,
    "dropped keyword": _dropped_keyword,
    "returned None": _returned_none,
    "swapped and, or": _swapped_and_or,
    "raised again": _raised_again,
}


def mutations_of(path: str, text: str) -> list[Mutation]:
    """Return every random mutation that a file can have, in the order of the text; a few do not compile."""
    source = _Source(text)
    found = []
    for kind, operator in OPERATORS.items():
        for node in source.nodes():
            for start, stop, new in operator(source, node):
                found.append(Mutation(path, start, text[start:stop], new, kind))
    return sorted(found, key=lambda m: (m.start, m.kind, m.new))


def _compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def draw(sources: dict[str, str], number: int, seed: int) -> list[Mutation]:
    """Draw mutations: each operator is used as often as the others, at places that all are as likely.

    The same sources and seed give the same mutations.
    """
    chance = random.Random(seed)
    by_kind: dict[str, list[Mutation]] = defaultdict(list)
    for path in sorted(sources):
        for mutation in mutations_of(path, sources[path]):
            by_kind[mutation.kind].append(mutation)
    for kind in by_kind:
        chance.shuffle(by_kind[kind])
    drawn: list[Mutation] = []
    while len(drawn) < number and any(by_kind.values()):
        for kind in OPERATORS:
            while by_kind[kind]:
                mutation = by_kind[kind].pop()
                if _compiles(mutation.applied(sources[mutation.path])):
                    drawn.append(mutation)
                    break
    return drawn[:number]


def picked(text: str, read: Callable[[str], str]) -> tuple[list[Mutation], Sequence[str]]:
    """Read mutations that were picked by hand.

    Args:
        text: TOML: tables ``[[mutation]]`` with ``path``, ``old`` (text that the file has once), ``new`` and ``why``.
        read: Gives the source of a path.

    Returns:
        The mutations, and what is wrong with those that do not fit the sources any more.
    """
    found, stale = [], []
    for entry in tomllib.loads(text)["mutation"]:
        path, old, new, why = (entry[name] for name in ("path", "old", "new", "why"))
        try:
            source = read(path)
        except FileNotFoundError:
            stale.append(f"{path} is missing ({why})")
            continue
        if source.count(old) != 1:
            stale.append(f"{path} has {old!r} {source.count(old)} times, not once ({why})")
            continue
        mutation = Mutation(path, source.index(old), old, new, why)
        if not _compiles(mutation.applied(source)):
            stale.append(f"{path} is not a Python with {new!r} for {old!r} ({why})")
            continue
        found.append(mutation)
    return found, stale
