"""Keys as text, for files: JSON of the kind and the fields."""

from __future__ import annotations

import json

from copick_core.tree.keys import KEY_CLASSES, Key, Kind, ParentKey, RootKey


def key_text(key: Key | ParentKey) -> str:
    """A key as text; of the project, ``"[]"``."""
    return "[]" if isinstance(key, RootKey) else json.dumps([key.kind.value, *key[:-1]], ensure_ascii=False)


def text_key(text: str) -> Key:
    """The key of a text.

    Raises:
        ValueError: It is none.
    """
    try:
        kind, *fields = json.loads(text)
        return KEY_CLASSES[Kind(kind)](*fields)
    except TypeError as error:
        raise ValueError(f"{text!r} is not a key") from error
