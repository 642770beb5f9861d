"""What the tests of the pages share: one browser for all, one server for each module."""

import pytest
import pytest_asyncio

from support.browsing import SETTINGS, page_of, prepared
from support.browsing import browser as started_browser
from support.serving import served


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """The browser of the machine."""
    async with started_browser() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that the tests of one module share."""
    with served(prepared(tmp_path_factory.mktemp("web")), SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser, server):
    """A page that has come in; at its end it must not have done what no page may."""
    async with page_of(browser, server) as (opened, seen):
        yield opened
    assert seen.everything == []
