"""A fresh database on a server."""

from collections.abc import Iterator

import pytest

from backstay.storage.postgres.address import ServerAddress
from backstay.storage.postgres.database import PostgresDatabase
from backstay.storage.postgres.schema_migration import migrations
from support.stores import postgres


@pytest.fixture
def url() -> Iterator[str]:
    postgres.need_a_server()
    url = postgres.fresh_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
def database(url: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(ServerAddress.from_url(url), schema=postgres.SCHEMA)
    database.start(schema_version=migrations()[-1][0], collation="default")
    yield database
    database.stop()
