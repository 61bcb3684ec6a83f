"""``copick browse``: a tree of a project in the terminal, and what is known of what is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Markdown, Tree

from copick.ops._markdown import ENTITY_TO_MD

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

#: What is in a node, and the page that shows it; folders have none.
_PAGES = {"voxel": "voxel_spacing", "feature": "features"}


def copick_to_label(entity: Any, include_metadata: bool = True) -> str:
    """How the tree names an entity.

    Args:
        entity: The entity.
        include_metadata: Show its user and session, or voxel size, too.
    """
    for name in ("name", "pickable_object_name", "tomo_type", "feature_type"):
        if (label := getattr(entity, name, None)) is not None:
            break
    else:
        label = f"{entity.voxel_size:.3f}"
    if not include_metadata or not hasattr(entity, "user_id"):
        return str(label)
    return f"{label} ({entity.user_id}/{entity.session_id})"


class CopickTreeApp(App[None]):
    """A project in the terminal.

    Args:
        copick_root: The project.
    """

    CSS = "Tree { width: 50%; } #details { padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit")]

    def __init__(self, copick_root: Any) -> None:
        super().__init__()
        self.copick_root = copick_root
        self.markdown = Markdown()

    def compose(self) -> ComposeResult:
        """The tree, and the page beside it."""
        root: Tree[tuple[str, Any]] = Tree("Project", data=("root", self.copick_root))
        objects = root.root.add("Objects", data=("objects_parent", None))
        for found in self.copick_root.pickable_objects:
            objects.add_leaf(copick_to_label(found), data=("object", found))
        for run in self.copick_root.runs:
            root.root.add(copick_to_label(run), data=("run", run))
        root.root.expand()
        with Horizontal():
            yield root
            with VerticalScroll(id="details"):
                yield self.markdown
        yield Footer()

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[tuple[str, Any]]) -> None:
        """List what is below a node when it is first opened."""
        node = event.node
        if node.children or node.data is None:
            return
        tag, entity = node.data
        if tag == "run":
            _folder(node, "Voxel spacings", ("voxel_parent", entity))
            for label, data in (
                ("Picks", ("picks_parent", entity)),
                ("Meshes", ("mesh_parent", entity)),
                ("Segmentations", ("segmentation_parent", entity)),
            ):
                _folder(node, label, data)
        elif tag == "voxel_parent":
            _list(node, "voxel", entity.voxel_spacings)
        elif tag == "voxel":
            _list(node, "tomogram", entity.tomograms)
        elif tag == "tomogram":
            _list(node, "feature", entity.features, leaf=True)
        elif tag == "picks_parent":
            _list(node, "picks", entity.picks, leaf=True)
        elif tag == "mesh_parent":
            _list(node, "mesh", entity.meshes, leaf=True)
        elif tag == "segmentation_parent":
            _list(node, "segmentation", entity.segmentations, leaf=True)

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[tuple[str, Any]]) -> None:
        """Show what is known of the entity."""
        if event.node.data is None:
            return
        tag, entity = event.node.data
        page = ENTITY_TO_MD.get(_PAGES.get(tag, tag))
        self.markdown.update("" if page is None else page(entity))


def _folder(node: TreeNode[tuple[str, Any]], label: str, data: tuple[str, Any]) -> None:
    node.add(label, data=data)


def _list(node: TreeNode[tuple[str, Any]], tag: str, entities: Sequence[Any], leaf: bool = False) -> None:
    for entity in entities:
        node.add(copick_to_label(entity), data=(tag, entity), allow_expand=not leaf)


def launch_app(config_path: str | None = None, dataset_ids: Sequence[int] | None = None, copick_root: Any = None) -> None:
    """Show a project in the terminal until it is closed.

    Args:
        config_path: Its configuration.
        dataset_ids: Or datasets of the portal.
        copick_root: Or the project.

    Raises:
        ValueError: Nothing is given.
    """
    import tempfile

    from copick.ops.open import from_czcdp_datasets, from_file
    from copick_core.errors import InvalidDataError

    root = copick_root
    if root is None and config_path is not None:
        root = from_file(config_path)
    if root is None and dataset_ids:
        root = from_czcdp_datasets([*dataset_ids], tempfile.mkdtemp(prefix="copick-browse-"))
    if root is None:
        raise InvalidDataError(source="project", reason="give config_path, dataset_ids or copick_root")
    CopickTreeApp(root).run()
