"""One served home and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.house import World
    from tests.pages.site import Kind, Site, Visitor


@pytest.fixture(scope="session")
def site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.pages.site import serve

    with world.home(tmp_path_factory.mktemp("site")) as home, serve(world, home) as served:
        yield served


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    from tests.pages.site import FLAGS

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visitor(site: Site, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Opens a browser of somebody; closed when the test ends."""
    from tests.pages.site import Kind, visit

    with ExitStack() as stack:

        def come(kind: Kind | None = None) -> Visitor:
            return stack.enter_context(visit(site, browser, kind or Kind()))

        yield come
