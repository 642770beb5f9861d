"""A conversation has the same digest, backup line and content on every database."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay.library.choices import ImportConflictPolicy
from backstay.library.imports.source import ImportSource
from backstay.library.selection import Selection
from support.stores.kinds import DATABASES, require

pytestmark = pytest.mark.promise("K2")

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30).map(
    lambda text: text if text.strip() else "blank"
)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_metadata = st.dictionaries(_texts, _values, max_size=3)
_turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": _texts},
    optional={"id": _texts, "metadata": _metadata},
)
_conversations = st.fixed_dictionaries(
    {"conversation_turns": st.lists(_turns, min_size=1, max_size=4)},
    optional={"topic": _texts, "persona": _texts, "content": _texts, "metadata": _metadata},
)


async def _records(store, path):
    """Import a file into a fresh store, and return the records of a backup of it."""
    await store.conversations.import_conversations(
        "local", ImportSource(path), ImportConflictPolicy.FAIL, lambda _: None
    )
    digests = []
    async with store.backups.creation.snapshot("local", Selection(everything=True)) as snapshot:
        async for records in snapshot.chunks():
            digests += [(record.id, record.digest, record.version, record.line) for record in records]
    return digests


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_conversations, min_size=1, max_size=40))
def test_digests_are_equal_on_every_database(tmp_path_factory, given_rows):
    """Conversations with any text and metadata have equal digests on every database."""
    folder = tmp_path_factory.mktemp("rows")
    path = folder / "rows.jsonl"
    times = {"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-02T00:00:00Z"}
    rows = [{"id": f"c{number}", **times, **row} for number, row in enumerate(given_rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    async def all_of_them():
        digests = []
        for kind in DATABASES[:2]:
            require(kind)
            async with kind.open(folder) as store:
                digests.append(await _records(store, path))
        return digests

    sqlite, postgres = asyncio.run(all_of_them())

    assert len(sqlite) == len(rows)
    assert sqlite == postgres
