"""The terminal browser: a tree of a project on the left, what is stored of an entity on the right, and keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Label, OptionList, Static, Tree

from copick_core.cli.words import count, printable
from copick_core.errors import CopickError
from copick_core.projects.selection import handle_of
from copick_core.tree.keys import Kind, RunKey
from copick_tools.browsing.entries import Entry, Filter
from copick_tools.browsing.viewer import Viewers
from copick_tools.commands.looking import described, lines_of

if TYPE_CHECKING:
    from textual.widgets.tree import TreeNode

    from copick_core.overlay import CopickRootOverlay

#: What nodes of the tree hold: an entity, or nothing for groups.
Node = Entry | None
_HELP = "Choose an entity, then press s to see what is stored of it, p for a picture, v for the viewer, r to review it."
_COLORS = ("256", "truecolor")


class Browser(App[None]):
    """A project in the terminal.

    Args:
        root: The project.
        config: Its config, for the viewer.
        text: What the tree shows at first; see :class:`Filter`.
        viewer: Name of the command that views an address.
    """

    CSS = """
    #left { width: 40%; min-width: 30; border-right: solid $primary; }
    #details { padding: 0 1; }
    #review { width: 40; height: auto; padding: 1 2; background: $surface; border: round $primary; }
    StateScreen { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "show", "Show"),
        Binding("p", "picture", "Picture"),
        Binding("v", "view", "Viewer"),
        Binding("r", "review", "Review"),
        Binding("slash", "filter", "Filter"),
        Binding("f5", "refresh", "Refresh"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "tree", "Tree", show=False),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, root: CopickRootOverlay, config: str, text: str = "", viewer: str = "view") -> None:
        super().__init__()
        self.project = root
        self.viewers = Viewers(config, viewer)
        self.text = text
        self.filter = Filter(text)
        self.title = printable(root.config.name or config)

    def compose(self) -> ComposeResult:
        """The filter and the tree, what is shown, and the keys."""
        with Horizontal():
            with Vertical(id="left"):
                yield Input(self.text, placeholder="filter: a name, TS_*, or TS_*/ribosome:alice", id="filter")
                yield Tree[Node](self.title, id="tree")
            with VerticalScroll():
                yield Static(_HELP, id="details", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """List the runs."""
        self.tree_widget.focus()
        self.list_runs(self.filter)

    def on_unmount(self) -> None:
        """End the viewers."""
        self.viewers.close()

    @property
    def tree_widget(self) -> Tree[Node]:
        """The tree."""
        return self.query_one("#tree", Tree)

    @property
    def entry(self) -> Node:
        """The entity that the cursor is on; None on a group."""
        node = self.tree_widget.cursor_node
        return None if node is None else node.data

    # ------------------------------------------------------------------ the tree

    @work(thread=True, exclusive=True, group="runs")
    def list_runs(self, wanted: Filter) -> None:
        """List the runs that pass a filter, and put them into the tree."""
        self._quietly(lambda: wanted.runs(self.project), lambda found: self.fill(wanted, found))

    def fill(self, wanted: Filter, runs: list[Entry]) -> None:
        """Put runs into the tree."""
        self.filter = wanted
        tree = self.tree_widget
        tree.clear()
        tree.root.set_label(Text(f"{self.title}: {count(len(runs), 'run')}"))
        for entry in runs:
            tree.root.add(Text(entry.label), entry)
        tree.root.expand()

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Node]) -> None:
        """List what is in a run when it is first expanded."""
        entry = event.node.data
        if entry is not None and entry.key.kind is Kind.RUN and not event.node.children:
            self.list_run(event.node, entry, self.filter)

    @work(thread=True)
    def list_run(self, node: TreeNode[Node], entry: Entry, wanted: Filter) -> None:
        """List what is in a run, and its reviews."""

        def asked() -> tuple[dict[str, list[Entry]], list[str]]:
            return wanted.inside(self.project, entry.run), self._reviews(entry.run)

        self._quietly(asked, lambda found: self.fill_run(node, entry, *found))

    def fill_run(self, node: TreeNode[Node], entry: Entry, groups: dict[str, list[Entry]], reviews: list[str]) -> None:
        """Put what is in a run into the tree, with the counts of each kind."""
        node.remove_children()
        self.label_run(node, entry, reviews)
        for name, entries in groups.items():
            group = node.add(f"{name} ({len(entries)})", expand=True)
            for one in entries:
                group.add_leaf(Text(one.label), one)
        if not groups:
            node.add_leaf("nothing")

    def label_run(self, node: TreeNode[Node], entry: Entry, reviews: list[str]) -> None:
        """Show the reviews of a run beside its name."""
        node.set_label(Text.assemble(entry.label, *((f"  {printable(review)}", "dim") for review in reviews)))

    def _reviews(self, run: str) -> list[str]:
        return [str(review) for review in self.project.reviews.of([run]).get(run, [])]

    # ------------------------------------------------------------------ keys

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filter the tree."""
        try:
            wanted = Filter(event.value)
        except CopickError as error:
            self.complain(error)
            return
        self.list_runs(wanted)
        self.tree_widget.focus()

    def action_filter(self) -> None:
        """Go to the filter."""
        self.query_one("#filter", Input).focus()

    def action_tree(self) -> None:
        """Go to the tree."""
        self.tree_widget.focus()

    def action_refresh(self) -> None:
        """Ask storage again."""
        self.project.refresh()
        self.list_runs(self.filter)

    def action_show(self) -> None:
        """Show what is stored of an entity, and where."""
        if (entry := self._chosen()) is not None:
            self.show_stored(entry)

    @work(thread=True, exclusive=True, group="details")
    def show_stored(self, entry: Entry) -> None:
        """Ask storage what there is of an entity."""

        def asked() -> Text:
            lines = lines_of(described(handle_of(self.project, entry.key, entry.layer)))
            lines += [f"{'review':<12} {review}" for review in self._reviews(entry.run)]
            return Text("\n".join(printable(line) for line in lines))

        self._quietly(asked, self.details)

    def details(self, text: Text) -> None:
        """Show a text on the right."""
        self.query_one("#details", Static).update(text)

    def action_picture(self) -> None:
        """Draw a tomogram, or the finest one of the run, with what was found in it."""
        if (entry := self._chosen()) is None:
            return
        if self.console.color_system not in _COLORS:
            self.notify(
                "This terminal has too few colours for pictures; copick-core render writes a file.", severity="warning"
            )
            return
        self.show_picture(entry, max(10, self.query_one("#details").size.width - 2))

    @work(thread=True, exclusive=True, group="details")
    def show_picture(self, entry: Entry, columns: int) -> None:
        """Draw a picture of a width in characters."""
        from copick_tools.browsing.preview import as_text
        from copick_tools.demo.render import PANEL_WIDTH
        from copick_tools.pictures import picture

        what = handle_of(self.project, entry.key, entry.layer) if entry.key.kind is Kind.TOMOGRAM else entry.run

        def drawn() -> Text:
            page = picture(self.project, what)
            return as_text(page.crop((0, 0, page.width - PANEL_WIDTH, page.height)), columns)  # nobody could read its text

        self._quietly(drawn, self.details)

    def action_view(self) -> None:
        """Open a tomogram in the viewer, or the run of what the cursor is on."""
        if (entry := self._chosen()) is None:
            return
        try:
            self.viewers.check()
        except CopickError as error:
            self.complain(error)
            return
        # The viewer shows a tomogram, or a run with all that is in it.
        address = entry.address if entry.key.kind is Kind.TOMOGRAM else Entry(RunKey(entry.run)).address
        self.notify(printable(f"{address} opens in the viewer"))
        self.start_viewer(address)

    @work(thread=True)
    def start_viewer(self, address: str) -> None:
        """Run the viewer until it is closed."""
        self._quietly(lambda: self.viewers.show(address), lambda _: None)

    def action_review(self) -> None:
        """Choose the state of review of a run, or of an object in it."""
        if (entry := self._chosen()) is None:
            return
        node = self.tree_widget.cursor_node
        while node is not None and (node.data is None or node.data.key.kind is not Kind.RUN):
            node = node.parent
        known = {obj.name for obj in self.project.pickable_objects}
        name = entry.object_name if entry.object_name in known else None

        def chosen(state: str | None) -> None:
            if state is not None:
                self.set_state(node, entry.run, state, name)

        what = f"{name} in {entry.run}" if name else entry.run
        self.push_screen(StateScreen(printable(what), self.project.reviews.states), chosen)

    @work(thread=True)
    def set_state(self, node: TreeNode[Node] | None, run: str, state: str, name: str | None) -> None:
        """Set the state of review of a run, or of an object in it."""

        def asked() -> tuple[str, list[str]]:
            return str(self.project.reviews.set(run, state, name)), self._reviews(run)

        def done(found: tuple[str, list[str]]) -> None:
            self.notify(printable(f"{run}: {found[0]}"))
            if node is not None and node.data is not None:
                self.label_run(node, node.data, found[1])

        self._quietly(asked, done)

    # ------------------------------------------------------------------ what all of them share

    def _chosen(self) -> Node:
        """The entity that the cursor is on; says so if there is none."""
        if self.entry is None:
            self.notify("Choose a run, or something in it.", severity="warning")
        return self.entry

    def _quietly(self, ask: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Ask storage in a thread, and show what it answers, or its error, in the one of the screen."""
        try:
            found = ask()
        except (CopickError, OSError) as error:
            self.call_from_thread(self.complain, error)
            return
        if self.is_running:
            self.call_from_thread(done, found)

    def complain(self, error: Exception) -> None:
        """Show an error."""
        self.notify(printable(str(error)), severity="error", timeout=10)


class StateScreen(ModalScreen[str | None]):
    """Asks for a state of review.

    Args:
        what: What is reviewed.
        states: The states to choose from.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, what: str, states: list[str]) -> None:
        super().__init__()
        self.what = what
        self.states = states

    def compose(self) -> ComposeResult:
        """The states."""
        with Vertical(id="review"):
            yield Label(f"State of review of {self.what}:", markup=False)
            yield OptionList(*self.states)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose a state."""
        self.dismiss(self.states[event.option_index])
