"""The file that keeps the local token, so that a server has the same address after a restart."""

import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

from backstay.database_parameters import without_password
from backstay.errors import OutputUnwritable, SettingsError
from backstay.file_trust import trusted_users
from backstay.files import make_private_folder, sync, sync_folder
from backstay.logs import get_logger
from backstay.remedy import Remedy
from backstay.settings import Settings

_log = get_logger("backstay.server")

_TOKEN_BYTES = 32
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{43}\n")
_MAX_BYTES = 100
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TokenFile:
    """The token of all servers of one database on this machine, readable by its user only.

    It is next to a SQLite file, and in the user's state folder for a database on a server.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Raises SettingsError if the environment names no state folder, and one is needed."""
        self._environ = environ
        if settings.postgres_url is None:
            database = Path(os.path.realpath(settings.database))
            self.path = database.with_name(f"{database.stem}.token")
            self._remedy: Remedy | None = Remedy.CHANGE_PERMISSIONS
            self._advice = ""
        else:
            address = f"{without_password(settings.postgres_url)}\0{settings.database_schema}"
            self.path = _state_folder(environ) / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.token"
            self._remedy = None
            self._advice = "; set XDG_STATE_HOME to a folder that you can write to"

    def load(self, *, renew: bool = False) -> str:
        """Return the token, which is created if there is none; `renew` replaces it.

        A file that other users can read, or that holds no token, is replaced.

        Raises:
            SettingsError: the file cannot be read, or is not this user's.
            OutputUnwritable: the file cannot be written.
        """
        try:
            if renew:
                self.path.unlink(missing_ok=True)
            make_private_folder(self.path.parent)
            while True:
                with self._open() as file:
                    if (token := self._token_in(file)) is not None:
                        return token
        except OSError as error:
            raise self._unwritable(error.strerror) from error

    def reason_to_replace(self) -> str | None:
        """Return why `load` would replace an existing file; None if it would not. Writes nothing.

        Raises:
            SettingsError: like `load`.
        """
        if not os.path.lexists(self.path):
            return None
        with self._open_existing() as file:
            self._check(file)
            return _reason_to_replace(file)

    def _open(self) -> FileIO:
        """Open the file, which is created if it is missing, and lock it. Raises OSError, SettingsError."""
        try:
            file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600), "r+")
        except OSError:
            if not os.path.lexists(self.path):
                raise
            file = self._open_existing()  # which suffices to read a token that is there
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        return file

    def _open_existing(self) -> FileIO:
        try:
            return FileIO(os.open(self.path, os.O_RDONLY | _FLAGS), "r")
        except OSError as error:
            raise self._unusable("it is a link" if self.path.is_symlink() else str(error.strerror)) from error

    def _token_in(self, file: FileIO) -> str | None:
        """Return the token in the file, which is written first if it has none; None if another file replaces it."""
        self._check(file)
        if not os.fstat(file.fileno()).st_nlink:  # another server has replaced it
            return None
        if (reason := _reason_to_replace(file)) is not None:
            if not os.fstat(file.fileno()).st_size:  # just created: this file system keeps no permissions
                raise self._unwritable(reason)
            _log.warning("token_replaced", reason=reason, path=str(self.path))
            self.path.unlink()
            return None
        if (token := file.read().decode().strip()) == "":
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            file.write(f"{token}\n".encode())
            sync(file.fileno())
            sync_folder(self.path.parent)
        return token

    def _check(self, file: FileIO) -> None:
        """Raise SettingsError unless it is a file of this user."""
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise self._unusable("it is not a file")
        if status.st_uid not in trusted_users(self._environ):
            raise self._unusable(f"it belongs to another user (uid {status.st_uid})")

    def _unusable(self, reason: str) -> SettingsError:
        message = f"{self.path}, which keeps the server's token, cannot be used: {reason}"
        if self.path.is_dir() and not self.path.is_symlink():
            return SettingsError(f"{message}; remove it", path=str(self.path))
        return SettingsError(message, remedy=Remedy.RENEW_TOKEN, path=str(self.path))

    def _unwritable(self, reason: str | None) -> OutputUnwritable:
        message = f"{self.path}, which keeps the server's token, cannot be written: {reason}{self._advice}"
        return OutputUnwritable(message, remedy=self._remedy, path=str(self.path))


def _reason_to_replace(file: FileIO) -> str | None:
    """Return why the token of a file must not be used; None if it is good, or the file is empty."""
    if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "other users can read it"
    content = file.read(_MAX_BYTES)
    file.seek(0)
    return None if not content or _TOKEN.fullmatch(content) else "it holds no token"


def _state_folder(environ: Mapping[str, str]) -> Path:
    folder, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if folder.startswith("/"):
        return Path(folder) / "backstay"
    if home.startswith("/"):
        return Path(home) / ".local" / "state" / "backstay"
    raise SettingsError(
        "There is no folder to keep the server's token in; set XDG_STATE_HOME to a folder that you can write to",
        setting="XDG_STATE_HOME",
    )
