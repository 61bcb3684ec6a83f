"""STAR files: read by gemmi, column by column; written as RELION does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from copick_core.errors import InvalidDataError


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
    """Read all blocks.

    Raises:
        InvalidDataError: It is no STAR file: a row is cut off, a block occurs twice.
    """
    from gemmi import cif

    try:
        return [_block(path, block) for block in cif.read(path)]
    except InvalidDataError:
        raise
    except (ValueError, RuntimeError) as error:  # also of text that is not UTF-8, which gemmi finds when it is asked for
        raise InvalidDataError(source=path, reason=f"is no readable STAR file: {error}") from error


def _block(path: str, block: Any) -> Block:
    columns: dict[str, Sequence[str]] = {}
    for item in block:
        if item.loop is not None:
            tags, values = item.loop.tags, item.loop.values
            columns |= {_label(tag): _unquoted(values[index :: len(tags)]) for index, tag in enumerate(tags)}
        elif item.pair is not None:
            columns[_label(item.pair[0])] = _unquoted([item.pair[1]])
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise InvalidDataError(source=path, reason=f"the block data_{block.name} has several loops; one is expected")
    return Block(block.name.strip(), columns)


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
    if any(value[:1] in "\"';" for value in values):
        from gemmi import cif

        return [cif.as_string(value) if value[:1] in "\"';" else value for value in values]
    return values
