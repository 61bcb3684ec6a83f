"""A headless Chromium, and the page of a project in it as a user has it."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

#: The names that distributions give to Chromium.
EXECUTABLE = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
_FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_READY = "typeof viewer !== 'undefined' && viewer.isReady && viewer.isReady()"
#: Seconds that software rendering on a busy machine may take.
PATIENCE = 45


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=EXECUTABLE, headless=True, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class OpenPage:
    """The page of a project.

    Args:
        page: A page of the browser.
        server: What serves the project.

    Attributes:
        hosts: Hosts that the page asked.
    """

    def __init__(self, page: Any, server: Any) -> None:
        self.page = page
        self.server = server
        self.hosts: set[str] = set()
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].split(":")[0]))

    def open(self, run: str, link: str | None = None) -> Any:
        """Open a run, and wait until it is drawn; gives its session."""
        self.show(link or f"{self.server.url}#{run}")
        return self.session(run)

    def show(self, link: str) -> None:
        """Open a link to a run, and wait until it is drawn."""
        self.page.goto(link)
        self.until(lambda: self.frame is not None and self.frame.evaluate(_READY))

    def session(self, run: str) -> Any:
        """The session of an open run."""
        return self.server.session(run, f"127.0.0.1:{self.server.port}")

    @property
    def frame(self) -> Any:
        """The viewer in the page, or None."""
        return next((frame for frame in self.page.frames if "/v/" in frame.url), None)

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until something is true in the page or in what serves it."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := holds():
                    return found
            except Exception as error:  # a frame that is just being loaded
                if time.monotonic() > end or ("Frame" not in str(error) and "Execution context" not in str(error)):
                    raise
            if time.monotonic() > end:
                raise AssertionError("the page did not come to show what was waited for")
            self.page.wait_for_timeout(50)

    def look(self, session: Any, place: tuple[float, float, float], pixels_per_voxel: float) -> None:
        """Show one plane, from near.

        Args:
            session: The run.
            place: x, y, z in angstrom, which comes to the middle.
            pixels_per_voxel: Of the finest level that is drawn.
        """
        scale = session.scene.finest.scale[::-1]
        position = [p / s for p, s in zip(place, scale, strict=True)]
        view = {"position": position, "crossSectionScale": 1 / pixels_per_voxel, "layout": "xy"}
        session.restore_view({**session.view(), **view})
        self.until(lambda: self._is_at(position))
        self.until(lambda: self.frame.evaluate(_READY))
        self.page.wait_for_timeout(300)

    def _is_at(self, position: list[float]) -> bool:
        """Whether the viewer shows a position; it has none while it learns of its layers."""
        found = self.frame.evaluate("Array.from(viewer.position.value)")
        return len(found) == len(position) and np.allclose(found, position, atol=1e-3)

    def panel_box(self) -> tuple[float, float, float, float]:
        """Where on the screen the (only) slice is: left, top, width, height."""
        frame = self.page.query_selector("#viewer").bounding_box()
        x, y, width, height = self.frame.evaluate(
            "(() => { const r = document.querySelector('.neuroglancer-rendered-data-panel').getBoundingClientRect();"
            " return [r.x, r.y, r.width, r.height]; })()"
        )
        return frame["x"] + x, frame["y"] + y, width, height

    def pixels(self) -> np.ndarray:
        """What the slice shows: (height, width, 3), without its edges, where there are buttons and a scale bar."""
        x, y, width, height = self.panel_box()
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.asarray(shot.crop((round(x), round(y), round(x + width), round(y + height))))

    def point_at(self, x: float, y: float, point: str | None = None) -> tuple[float, float]:
        """Move the mouse to a pixel of :meth:`pixels`, and wait until the viewer knows that a point is below it.

        Args:
            x: From the left.
            y: From the top.
            point: Id of the point; None: whatever is there.

        Returns:
            Where that is on the screen.
        """
        left, top, _, _ = self.panel_box()

        def found() -> bool:
            # The viewer finds out what is below the mouse when it draws, after the mouse has moved.
            self.page.mouse.move(left + x + 1, top + y)
            self.page.mouse.move(left + x, top + y)
            self.page.wait_for_timeout(100)
            return self.frame.evaluate("viewer.mouseState.active && (viewer.mouseState.pickedAnnotationId ?? '')") == point

        if point is None:
            self.page.mouse.move(left + x, top + y)
            self.until(lambda: self.frame.evaluate("viewer.mouseState.active"))
        else:
            self.until(found)
        return left + x, top + y

    def click(self, x: float, y: float, *keys: str, button: str = "left", point: str | None = None) -> None:
        """Click on the slice, at a pixel of :meth:`pixels`, while keys are held; on a point if its id is given."""
        for key in keys:
            self.page.keyboard.down(key)
        place = self.point_at(x, y, point)  # last: nothing may happen between this and the click
        self.page.mouse.click(*place, button=button)
        for key in keys:
            self.page.keyboard.up(key)
