"""Identities distinguish a moved file from a copied one."""

from dataclasses import replace

import pytest

from backstay.backup.storage_identity import StorageIdentity

_HERE = StorageIdentity("/data/backstay.db", "one", 5, 77)


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (_HERE, True),
        (replace(_HERE, name="/elsewhere/backstay.db"), True),  # moved
        (replace(_HERE, machine="two"), True),  # a recreated container
        (replace(_HERE, device=6), True),  # mounted again
        (replace(_HERE, inode=78), False),  # a copy in its place
        (replace(_HERE, name="/elsewhere/backstay.db", inode=78), False),  # copied
        (replace(_HERE, name="/elsewhere/backstay.db", device=6), False),  # copied to another disk
        (replace(_HERE, name="/elsewhere/backstay.db", machine="two"), False),
        (replace(_HERE, machine="two", inode=78), False),  # copied to another machine
        (StorageIdentity("/data/backstay.db", "one"), False),  # not there
        (StorageIdentity("/elsewhere/backstay.db", "one"), False),
    ],
)
def test_a_copy_is_elsewhere(other, is_same):
    """A copy has a different inode, wherever it is; a moved or remounted file has the same one."""
    assert _HERE.is_same(other) is other.is_same(_HERE) is is_same


def test_databases_on_servers_are_identified_by_name_and_cluster():
    """A database on a server with another name or cluster is a copy."""
    here = StorageIdentity("app, schema backstay", "cluster 1")

    assert here.is_same(here)
    assert not here.is_same(StorageIdentity("copy, schema backstay", "cluster 1"))
    assert not here.is_same(StorageIdentity("app, schema backstay", "cluster 2"))
