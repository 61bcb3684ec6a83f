"""Names as copick stores them."""

from copick_core.tree import names


def sanitize_name(input_str: str, suppress_warnings: bool = False) -> str:
    """Replace the characters that file names cannot hold; see :func:`copick_core.tree.names.sanitize_name`.

    Args:
        input_str: The name.
        suppress_warnings: Do not warn when the name changes.
    """
    return names.sanitize_name(input_str, suppress_warnings)
