"""Cards of workers that no process stands behind."""

from backstay.batch.store import WorkerIdentity


def card(name: str = "a", *, host: str = "elsewhere") -> WorkerIdentity:
    """Return a card of another host: nothing here proves whether its worker lives."""
    return WorkerIdentity(
        host=host, boot_id=f"boot-of-{host}", pid=4711, lock_path=f"/nowhere/{name}.lock", lock_device=1, lock_inode=2
    )
