"""Identities of workers without a process."""

from backstay.batch.store import WorkerIdentity


def card(name: str = "a", *, host: str = "elsewhere") -> WorkerIdentity:
    """Return the identity of a worker on another host, whose life cannot be checked here."""
    return WorkerIdentity(
        host=host, boot_id=f"boot-of-{host}", pid=4711, lock_path=f"/nowhere/{name}.lock", lock_device=1, lock_inode=2
    )
