"""The user's editor, and the file that it edits."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from backstay.cli.output import is_terminal
from backstay.cli.text import printable
from backstay.errors import InputUnreadable, OutputUnwritable, SettingsError

_DEFAULT = "vi"


def editor_command() -> list[str]:
    """Return the words that start the editor: VISUAL, else EDITOR, else vi.

    Raises SettingsError if there is none, or none is set and there is no terminal for vi.
    """
    for variable in ("VISUAL", "EDITOR"):
        if os.environ.get(variable, "").strip():
            name = os.environ[variable]
            try:
                words = shlex.split(name)
            except ValueError as error:
                raise SettingsError(f"{variable} is not a valid command: {error}", setting=variable) from error
            break
    else:
        if not (is_terminal(0) and is_terminal(1)):
            raise SettingsError(
                "There is no terminal for an editor; set EDITOR, or edit with --from-file FILE or the other options of "
                "`backstay conversations edit --help`",
                setting="EDITOR",
            )
        variable, words = "EDITOR", [_DEFAULT]
    if shutil.which(words[0]) is None:
        raise SettingsError(f"{printable(words[0])} not found; set {variable} to your editor", setting=variable)
    return words


class EditedFile:
    """A file that the user edits. Only the user may read it. Remove it once its content is stored."""

    def __init__(self, text: str, *, suffix: str) -> None:
        try:
            descriptor, name = tempfile.mkstemp(prefix="backstay-", suffix=suffix)
            self.path = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
        except OSError as error:
            raise OutputUnwritable(f"No file for the editor can be created: {error.strerror}") from error

    def edit(self, command: list[str]) -> None:
        """Open the editor and wait until it is closed. Raises SettingsError if it fails."""
        try:
            status = subprocess.run([*command, str(self.path)], check=False).returncode  # noqa: S603 - the user chose it
        except OSError as error:
            raise SettingsError(f"{printable(command[0])} cannot be started: {error.strerror}") from error
        if status:
            raise SettingsError(f"{printable(command[0])} ended with status {status}")

    def read(self) -> str:
        """Return the text, with the line ends that were given to the editor. Raises InputUnreadable."""
        try:
            text = self.path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise InputUnreadable("Line 1: the file is not UTF-8 text", line=1) from error
        except OSError as error:
            raise InputUnreadable(f"{self.path} cannot be read: {error.strerror}", path=str(self.path)) from error
        # Some editors write every line end as CR LF. The heading of a turn never ends so otherwise.
        has_other_line_ends = text.count("\n") > text.count("\r\n")
        return text if has_other_line_ends else text.replace("\r\n", "\n")

    def write(self, text: str) -> None:
        """Replace the text. Raises OutputUnwritable."""
        try:
            self.path.write_bytes(text.encode())
        except OSError as error:
            raise OutputUnwritable(f"{self.path} cannot be written: {error.strerror}", path=str(self.path)) from error

    def remove(self) -> None:
        """Remove the file. Idempotent."""
        self.path.unlink(missing_ok=True)
