"""Fixtures of the page tests: one browser for all, and one server per module."""

import pytest
import pytest_asyncio

from support.browser.pages import SETTINGS, page_of, prepared
from support.browser.pages import browser as started_browser
from support.servers.api import KINDS, ORIGIN, library, served, serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """The browser of this machine."""
    async with started_browser() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that the tests of one module share."""
    with served(prepared(tmp_path_factory.mktemp("web")), SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser, server):
    """A signed-in page, which must not have broken any rule for pages at its end."""
    async with page_of(browser, server) as (opened, seen):
        yield opened
    assert seen.everything == []


@pytest_asyncio.fixture(loop_scope="session")
async def local(tmp_path):
    """An application with pages in this process; its client `ann` sends requests like its own pages."""
    with library(KINDS[0], tmp_path) as settings:
        async with serving(settings, local=True) as running:
            running.ann.headers["Origin"] = ORIGIN
            yield running
