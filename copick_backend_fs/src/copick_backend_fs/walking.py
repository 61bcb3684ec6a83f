"""Lists of everything below many runs of a bucket: by pages of all its objects, where that takes fewer requests than folders.

A page has a thousand names, each with its revision. Where runs hold few objects, one page lists dozens of runs, whose folders
would take four or five requests a run. Volumes of thousands of chunks fill pages; the rest of a volume is skipped, by asking
for what comes after it. Where pages do not save half of the requests all the same, the walk ends, and the folders of the other
runs are listed as usual.

Servers that keep folders list "TS_1/Picks" before "TS_1-b", others after it, and some know no order at all. So no run is known
of which nothing was found, and names that do not follow each other end the walk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copick_backend_fs.files import together
from copick_core.layers.path_layer import Listing
from copick_core.layers.revisions import Revision
from copick_core.tree.keys import Kind, RunKey
from copick_core.tree.layout import RUNS_FOLDER, folders

if TYPE_CHECKING:
    from copick_backend_fs.buckets import BucketFiles
    from copick_backend_fs.live import Live

#: Parts that are read at once, and pages that a part has at least: each part may read one page more than is needed.
_AT_ONCE, _PAGES_OF_A_PART = 16, 4
#: How many lists of folders a page must replace: a thousand names take the client longer than a handful.
_WORTH = 2
#: Pages after which it is known how many runs a page lists, and pages of one large run that are tolerated among small ones.
_TRIED, _TOLERATED = 2, 4
#: Names of the folders that are listed whether or not they exist.
_ALWAYS = {folder.rpartition("/")[2] for kind in (Kind.PICKS, Kind.MESH) for folder in folders(kind, RunKey("run"))}


@dataclass
class Tree:
    """What lies below some runs.

    Attributes:
        runs: Names of the runs that are known.
        folders: Listings of the runs' folders, and of the folders in these, by path below the folder of runs.
        revisions: Revisions of the files in the latter, by path below the folder of runs.
        takes_more: Whether pages were found to save too few requests.
    """

    runs: set[str] = field(default_factory=set)
    folders: dict[str, Listing] = field(default_factory=dict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    takes_more: bool = False

    def listing(self, path: str) -> Listing | None:
        """The listing of a folder of the project; None if its run is not known."""
        below = self._below(path)
        return None if below is None else {**self.folders.get(below, {})}

    def knows(self, path: str) -> bool:
        """Whether the run is known that a path lies in."""
        return self._below(path) is not None

    def revision(self, path: str) -> Revision | None:
        """The revision of a file of a known run; None where there is none."""
        return self.revisions.get(path.partition("/")[2])

    def _below(self, path: str) -> str | None:
        top, _, below = path.partition("/")
        run, _, rest = below.partition("/")
        return below if top == RUNS_FOLDER and run in self.runs and rest.count("/") == 0 else None

    def note(self, name: str, revision: Revision | None) -> None:
        """Take note of an object below the folder of runs."""
        run, *rest = name.split("/", 3)
        listing = self.folders.setdefault(run, {})
        if len(rest) == 1:
            _add(listing, rest[0], is_folder=False)
        elif rest:
            _add(listing, rest[0], is_folder=True)
            _add(self.folders.setdefault(f"{run}/{rest[0]}", {}), rest[1], is_folder=len(rest) == 3)
            if len(rest) == 2 and revision is not None:
                self.revisions[name] = revision

    def requests_by_folder(self, runs: Sequence[str]) -> int:
        """How many requests the folders of some runs take, as far as they are known."""
        return sum(1 + len(_ALWAYS | {n for n, is_folder in self.folders.get(run, {}).items() if is_folder}) for run in runs)


async def walk(live: Live, files: BucketFiles, folder: str, runs: Sequence[str]) -> Tree:
    """List everything below some runs, several parts at once.

    Args:
        live: The file system.
        files: The files of the bucket.
        folder: The folder of runs.
        runs: Names of the runs.

    Returns:
        What is known: of all runs, or of the first of them where pages save too few requests.
    """
    try:
        return await _walked(live, files, folder, sorted(runs, key=lambda run: f"{run}/"))
    except _DisorderError:
        return Tree(takes_more=True)


class _DisorderError(Exception):
    """A server lists names in another order, or not after the name that it was given."""


async def _walked(live: Live, files: BucketFiles, folder: str, names: Sequence[str]) -> Tree:
    tree = Tree()
    reading = _Reading(live, files, folder, tree)
    done, pages, after = await reading.read(names, _before(names[0]), most=_TRIED)
    rest = names[done:]
    tree.takes_more = done == 0 or _is_too_many(pages, tree, names[:done])
    if tree.takes_more or not rest:
        return tree
    in_all = len(rest) * pages / done
    parts = max(1, min(_AT_ONCE, len(rest), math.ceil(in_all / _PAGES_OF_A_PART)))
    size = math.ceil(len(rest) / parts)

    async def part(first: int) -> None:
        await reading.read(rest[first : first + size], _before(rest[first]) if first else after)

    await together(part(first) for first in range(0, len(rest), size))
    tree.takes_more = len(tree.runs) < len(names) / 2
    return tree


@dataclass(frozen=True)
class _Reading:
    """What pages are read of, and what takes note of them."""

    live: Live
    files: BucketFiles
    folder: str
    tree: Tree

    async def read(self, runs: Sequence[str], after: str, most: int | None = None) -> tuple[int, int, str]:
        """Read pages as long as that is worth it; with ``most`` pages, until a run is known.

        Args:
            runs: Names of the runs, in the order of the pages.
            after: The name after which to begin.
            most: Pages after which one run is enough.

        Returns:
            How many runs were passed, how many pages that took, and the name after which to go on.

        Raises:
            _DisorderError: The pages cannot be trusted.
        """
        tree, wanted, done, pages = self.tree, {*runs}, 0, 0
        while done < len(runs) and not (most and done and pages >= most):
            page = await self.files.page_after(self.live, self.folder, after)
            pages += 1
            for name, revision in page.names:
                if name <= after:
                    raise _DisorderError
                after = name
                if name.partition("/")[0] in wanted:
                    tree.note(name, revision)
            first = done
            while done < len(runs) and (page.is_last or _is_past(after, runs[done])):
                done += 1
            tree.runs.update(run for run in runs[first:done] if run in tree.folders)
            if done < len(runs):
                after = _past(after) if after.startswith(f"{runs[done]}/") else _before(runs[done])
                if _is_too_many(pages - _TOLERATED, tree, runs[: done + 1]):
                    break
        return done, pages, after


def _is_too_many(pages: int, tree: Tree, runs: Sequence[str]) -> bool:
    """Whether so many pages were not worth it for some runs."""
    return pages * _WORTH > tree.requests_by_folder(runs)


def _is_past(name: str, run: str) -> bool:
    """Whether a name comes after everything in a run."""
    return f"{run}/" <= name and not name.startswith(f"{run}/")


def _before(run: str) -> str:
    """A name that comes before those of all folders of a run; obstore takes none that ends with "/"."""
    return f"{run}/!"


def _past(name: str) -> str:
    """The name after which a listing goes on: that which was listed last, or the end of the volume that it lies in."""
    parts = name.split("/", 3)
    return max(name, f"{'/'.join(parts[:3])}/~") if len(parts) > 3 else name  # no name of a volume begins with "~"


def _add(listing: Listing, name: str, *, is_folder: bool) -> None:
    if name:  # an object that stands for the folder itself has none
        listing[name] = is_folder or listing.get(name, False)
