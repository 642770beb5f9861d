"""Enumerations of the export formats and conflict policies, for the command line, the API and the pages."""

from enum import StrEnum

from backstay.library import formats
from backstay.library.provenance import ADDABLE_FIELDS


class ExportFormat(StrEnum):
    """The shape of exported conversations."""

    # Each module of `library.formats` is a member, so that a new format appears in the command, the API and the pages.
    vars().update({name.upper().replace("-", "_"): name for name in formats.format_names()})


class AddableField(StrEnum):
    """A field that an export can add to each row."""

    vars().update({name.upper(): name for name in ADDABLE_FIELDS})


DEFAULT_FORMAT = ExportFormat(formats.DEFAULT)


class ImportConflictPolicy(StrEnum):
    """The treatment of an imported conversation whose id is already taken."""

    FAIL = "fail"
    """Import nothing."""
    SKIP = "skip"
    """Skip it."""
    NEW = "new"
    """Give it a new id."""


class RestoreConflictPolicy(StrEnum):
    """The treatment of a backup's conversations that conflict with stored ones."""

    FAIL = "fail"
    """Restore nothing."""
    SKIP = "skip"
    """Restore only those without a conflict."""
    REPLACE = "replace"
    """Restore all; conversations to be replaced are backed up first."""
