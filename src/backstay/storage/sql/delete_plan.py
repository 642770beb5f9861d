"""Counts what a delete would delete and update, without doing it."""

import hashlib

from backstay.backup.store import SelectionMeasure
from backstay.library.deletion import DeleteSample, FiringTrigger, plan_line
from backstay.library.selection import Selection
from backstay.storage.sql.batched import batched
from backstay.storage.sql.cascade.foreign_key_rows import related_rows
from backstay.storage.sql.cascade.tables import BUILT_IN_TABLES
from backstay.storage.sql.selection_conditions import values_of
from backstay.storage.sql.session import Session

_BATCH_SIZE = 256  # conversations


def measure(session: Session, owner: str, selection: Selection, *, sample: int) -> SelectionMeasure:
    """Count the selected conversations and their related rows, and find what would prevent the delete."""
    digest, conversations, turns, size, samples = hashlib.sha256(), 0, 0, 0, []
    related = related_rows(session)
    selected = session.stream("measure_selection", values_of(owner, selection), selection=selection)
    for batch in batched(selected, _BATCH_SIZE):
        related_counts = related.count([row[0] for row in batch])
        for key, conversation_id, topic, its_turns, its_size in batch:
            if conversations < sample:
                samples.append(DeleteSample(conversation_id, topic, its_turns))
            conversations += 1
            turns += its_turns
            size += its_size
            digest.update(plan_line(conversation_id, its_turns, related_counts[key]))
    firing = session.tables.triggers([*BUILT_IN_TABLES, *related.deleted_tables], related.updated_tables)
    triggers = [FiringTrigger(trigger.name, trigger.table) for trigger in firing]
    return SelectionMeasure(
        conversations, turns, size, digest.hexdigest(), samples, related.counts(), triggers, related.obstacles()
    )
