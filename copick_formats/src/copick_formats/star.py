"""STAR files: read by gemmi, column by column; written as RELION does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from copick_core.errors import InvalidDataError
from copick_formats.cells import Cells

_LARGE = 1 << 22
"""Files of more bytes are read in parts."""
_LINES = 1 << 14
"""Lines of a loop that are read at once."""


@dataclass(frozen=True)
class Block:
    """A data block: one loop, or pairs of names and values as a loop of one row.

    Attributes:
        name: Its name, without ``data_``.
        columns: Cells as they are written, without quotes, by label (without the underscore).
    """

    name: str
    columns: Mapping[str, Sequence[str]]

    def __len__(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))


def read_star(path: str) -> list[Block]:
    """Read all blocks. Long loops are read in parts: gemmi takes several times the file's size for its cells.

    Raises:
        InvalidDataError: It is not a STAR file: a row is cut off, a block occurs twice.
    """
    from gemmi import cif

    try:
        if os.path.getsize(path) > _LARGE and (blocks := _in_parts(path)) is not None:
            return blocks
        return [_block(path, block) for block in cif.read(path)]
    except InvalidDataError:
        raise
    except (ValueError, RuntimeError) as error:  # also of text that is not UTF-8, which gemmi finds when it is asked for
        raise InvalidDataError(source=path, reason=f"is not a readable STAR file: {error}") from error


def columns_with(path: str, label: str) -> Mapping[str, Sequence[str]]:
    """The columns of the only block that has a column; none where no block has it.

    Raises:
        InvalidDataError: Several blocks have it, or as for all blocks.
    """
    found = [block for block in read_star(path) if label in block.columns]
    if len(found) > 1:
        names = " and ".join(f"data_{block.name}" for block in found)
        raise InvalidDataError(source=path, reason=f"has the column {label} in {names}; write each to a file of its own")
    return found[0].columns if found else {}


def _block(path: str, block: Any, further: Iterator[dict[str, Cells]] | None = None) -> Block:
    columns: dict[str, Sequence[str]] = {}
    for item in block:
        if item.loop is not None:
            tags, values = item.loop.tags, item.loop.values
            read = {_label(tag): _unquoted(values[index :: len(tags)]) for index, tag in enumerate(tags)}
            columns |= read if further is None else _joined(read, next(further))
        elif item.pair is not None:
            columns[_label(item.pair[0])] = _unquoted([item.pair[1]])
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise InvalidDataError(source=path, reason=f"the block data_{block.name} has several loops; one is expected")
    return Block(block.name.strip(), columns)


def _in_parts(path: str) -> list[Block] | None:
    """All blocks, at most so many lines of a loop at once; None if the file is not as simple as programs write it.

    Cells of a loop are one stream, so it may be cut between any two lines at which a row ends: a part with an incomplete row
    is refused by gemmi, and the file is then read as a whole, with the errors of that.
    """
    from gemmi import cif

    first: list[bytes] = []  # the file with no more than the first lines of each loop
    further: list[dict[str, Cells]] = []
    head: list[bytes] = []
    rows: list[bytes] = []
    count = -1  # lines of the loop so far; -1 outside of loops
    try:
        with open(path, "rb") as file:
            for line in file:
                start = line.lstrip()[:7].lower()
                if start.startswith(b";"):
                    return None  # text over several lines
                if start.startswith((b"_", b"loop_", b"data_", b"save_", b"global_", b"stop_")):
                    if count >= 0 and (start[:1] != b"_" or count > 0):
                        _add(further[-1], head, rows)
                        count = -1
                    if start.startswith(b"loop_"):
                        if line.split() != [line.strip()]:
                            return None  # labels follow in the same line
                        head, count = [], 0
                        further.append({})
                    elif count == 0:
                        head.append(line)
                    first.append(line)
                elif count < 0 or not start or start.startswith(b"#"):
                    first.append(line)
                else:
                    count += 1
                    (first if count <= _LINES else rows).append(line)
                    if len(rows) == _LINES:
                        _add(further[-1], head, rows)
            if count >= 0:
                _add(further[-1], head, rows)
        parts = iter(further)
        blocks = [_block(path, block, parts) for block in cif.read_string(b"".join(first).decode())]
    except (ValueError, RuntimeError, StopIteration):
        return None
    return blocks if next(parts, None) is None else None


def _add(further: dict[str, Cells], head: Sequence[bytes], rows: list[bytes]) -> None:
    """Read some lines of a loop, and forget them."""
    from gemmi import cif

    if not rows:
        return
    block = cif.read_string(b"".join([b"data_part\nloop_\n", *head, *rows]).decode()).sole_block()
    rows.clear()
    (item,) = block
    tags, values = item.loop.tags, item.loop.values
    for index, tag in enumerate(tags):
        further.setdefault(_label(tag), Cells()).extend(_unquoted(values[index :: len(tags)]))


def _joined(read: Mapping[str, Sequence[str]], further: Mapping[str, Cells]) -> Mapping[str, Sequence[str]]:
    if not further:
        return read
    if [*read] != [*further]:
        raise ValueError("a part of the loop has other labels")
    joined = {label: Cells() for label in read}
    for label, cells in joined.items():
        cells.extend(read[label])
        cells.append(further[label])
    return joined


def write_block(file: IO[str], name: str, labels: Sequence[str], rows: Iterable[str]) -> None:
    """Write a block with a loop.

    Args:
        file: The file.
        name: Name of the block, without ``data_``.
        labels: Labels, without the underscore.
        rows: Lines, each with its cells and a newline at the end.
    """
    file.write(f"\ndata_{name}\n\nloop_\n")
    file.writelines(f"_{label} #{number}\n" for number, label in enumerate(labels, 1))
    file.writelines(rows)
    file.write("\n")


def quoted(text: str) -> str:
    """A cell as a STAR file has it.

    Raises:
        ValueError: It holds a line break, or both kinds of quotes.
    """
    if text and text[0] not in "\"'#;$_" and not any(c in text for c in " \t\r\n"):
        return text
    if "\n" in text or "\r" in text or ('"' in text and "'" in text):
        raise ValueError(f"{text!r:.60} cannot be written into a cell of a STAR file")
    return f"'{text}'" if '"' in text else f'"{text}"'


def _label(tag: str) -> str:
    return tag[1:] if tag.startswith("_") else tag


def _unquoted(values: list[str]) -> list[str]:
    together = "".join(values)  # one look at all is a tenth of one at each
    if any(quote in together for quote in "\"';") and any(value[:1] in "\"';" for value in values):
        from gemmi import cif

        return [cif.as_string(value) if value[:1] in "\"';" else value for value in values]
    return values
