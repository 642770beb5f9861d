"""User tables that stand for the built-in ones: views over them with the built-in names (docs/engineering/decisions/0041)."""

from backstay.storage.postgres.adoption.adopt import adopt, check, undo

__all__ = ["adopt", "check", "undo"]
