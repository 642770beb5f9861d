"""Fixtures of the readers' tests: ways to read bytes."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.errors import InputError
from backstay.readers import InputRow, read_rows


@pytest.fixture
def read_file(tmp_path: Path) -> Callable[[str, bytes], list[InputRow]]:
    """Return a function that writes a file and reads all its rows."""

    def read(name: str, content: bytes) -> list[InputRow]:
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_rows(path))

    return read


@pytest.fixture
def refusal(read_file: Callable[[str, bytes], list[InputRow]], tmp_path: Path) -> Callable[[str, bytes], InputError]:
    """Return a function that reads a file that must be refused, checks the form of the error and returns it."""

    def read(name: str, content: bytes) -> InputError:
        with pytest.raises(InputError) as caught:
            read_file(name, content)
        error = caught.value
        assert "\n" not in error.message
        assert error.message.startswith(str(tmp_path / name))
        assert error.context["path"] == str(tmp_path / name)
        return error

    return read


class _Trickle(io.BytesIO):
    """A stream that returns a few bytes at a time, like a slow pipe."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._size)


@pytest.fixture(scope="session")
def trickle() -> Callable[[bytes, int], io.BytesIO]:
    return _Trickle
