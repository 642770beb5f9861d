"""A user's own tables in the place of ours: views under our names over them (docs/engineering/decisions/0041)."""

from backstay.storage.postgres.adoption.adopt import adopt, check, undo

__all__ = ["adopt", "check", "undo"]
