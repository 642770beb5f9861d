"""A fresh store of every kind of database."""

from collections.abc import AsyncIterator

import pytest

from support.faults.batch_invariants import refuse
from support.stores.kinds import PARAMETERS, Kind, OpenStore, require


@pytest.fixture(params=PARAMETERS)
async def store(request: pytest.FixtureRequest, tmp_path) -> AsyncIterator[OpenStore]:
    """Return a store whose invariants are checked again at the end of the test."""
    kind: Kind = request.param
    require(kind)
    async with kind.open(tmp_path) as opened:
        yield opened
        if not opened.is_left_unchecked:
            refuse(opened.violations())
