"""Names as copick stores them."""

from copick_core.tree.names import sanitize_name

__all__ = ["sanitize_name"]
