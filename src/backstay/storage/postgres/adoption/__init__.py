"""User tables in place of the built-in ones, through views with their names (docs/engineering/decisions/0041)."""

from backstay.storage.postgres.adoption.lifecycle import adopt, check, undo

__all__ = ["adopt", "check", "undo"]
