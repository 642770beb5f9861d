"""Rules of this code base that a machine can check in the text of its files."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.former_name import NAME

_ROOT = Path(__file__).parents[2]
_TESTS = _ROOT / "tests"


def _files() -> Iterator[Path]:
    """Yield the files that are tracked, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (_ROOT / name).is_file():
            yield Path(name)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate((_ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines(), 1)


# -- the name ----------------------------------------------------------------------------------------------------------

_MAY_NAME_IT = (Path("changelog.d"), Path("src/backstay/former_name.py"))


def test_the_former_name_is_gone():
    """Only the changelog, and what refuses it, know the name that the project had before."""
    named = [
        str(path)
        for path in _files()
        if not any(path.is_relative_to(exempt) for exempt in _MAY_NAME_IT)
        and (NAME in str(path).lower() or NAME.encode() in (_ROOT / path).read_bytes().lower())
    ]

    assert named == []


# What follows the name in a file name (`backstay-0.1.0-py3-none-any.whl`) or a path makes it something else.
_FROM_INDEX = re.compile(
    r"\b(?:pip3?|pipx|uvx?|poetry|pdm|hatch|conda)\b[^\n`;&|#]*[\s'\"]backstay(?:\[[\w,]+\])?(?![\w./-])"
)


def test_nobody_is_sent_to_the_index():
    """Until a release is there, no line of the project installs it from the package index."""
    sent = [
        f"{path}:{number}: {line.strip()}"
        for path in _files()
        if not path.is_relative_to("tests")
        for number, line in _lines(path)
        if _FROM_INDEX.search(line)
    ]

    assert sent == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("pip install backstay", True),
        ("python -m pip install -U 'backstay[server]'", True),
        ("upgrade with `pip install -U backstay`, then resume", True),
        ("uv add backstay", True),
        ("uvx backstay run topics.csv", True),
        ("pipx install 'backstay'", True),
        ("pip install backstay>=0.1", True),
        ("pip install '.[server]'   # in a checkout of backstay", False),
        ("pip install . && backstay serve", False),
        ("pip install dist/backstay-0.1.0-py3-none-any.whl", False),
        ("pip install backstay-0.1.0-py3-none-any.whl", False),
        ("/opt/backstay/bin/pip install '.[server]'", False),
    ],
)
def test_what_counts_as_the_index(line, is_found):
    """A requirement by name comes from the index; a checkout or a wheel does not."""
    assert bool(_FROM_INDEX.search(line)) == is_found


# -- tests wait for signs ----------------------------------------------------------------------------------------------

_SLEEP = re.compile(r"\b(?:sleep|wait_for_timeout)\((?P<length>[^\n#]*)\)(?P<rest>[^\n]*)")
_NUMBER = re.compile(r"\s*(?P<seconds>[\d.]+)\s*")


def _is_unexplained(line: str) -> bool:
    """Say whether a line sleeps for 0.2 s or more, or for how long no reader of the line can say, without a reason."""
    found = _SLEEP.search(line)
    if found is None or "#" in found["rest"]:
        return False
    number = _NUMBER.fullmatch(found["length"])
    return number is None or float(number["seconds"]) >= 0.2


def test_tests_wait_for_signs():
    """A test waits for a sign, not for a time: whoever sleeps for 0.2 s or more says why on the same line."""
    unexplained = [
        f"{path}:{number}: {line.strip()}"
        for path in _files()
        if path.is_relative_to("tests") and path.suffix == ".py" and _ROOT / path != Path(__file__)
        for number, line in _lines(path)
        if _is_unexplained(line)
    ]

    assert unexplained == []


@pytest.mark.parametrize(
    ("line", "is_unexplained"),
    [
        ("time.sleep(0.2)", True),
        ("await asyncio.sleep(1)", True),
        ("page.wait_for_timeout(500)", True),
        ("time.sleep(seconds)", True),
        ("time.sleep(chance.uniform(0, 2))", True),
        ("time.sleep(0.05)", False),
        ("await asyncio.sleep(0)", False),
        ("time.sleep(60)  # hangs: its time is up before", False),
    ],
)
def test_what_counts_as_a_reason(line, is_unexplained):
    """A short sleep between two looks needs no reason; a long one does."""
    assert _is_unexplained(line) == is_unexplained


# -- promises ----------------------------------------------------------------------------------------------------------

_CHECKS = re.compile(r"(?<!axe\.)\bviolations\(|\.broken\(")
_MARK = re.compile(r'\bmark\.promise\(("[^)]*)\)')
_PROMISE = re.compile(r"^\| ([A-Z]\d) \|", re.MULTILINE)


def _promises_shown() -> dict[str, set[str]]:
    """Return, for each file of tests that asks a checker or has a mark, the promises that its marks name."""
    files = [path for path in _files() if path.is_relative_to("tests") and path.name.startswith("test_")]
    texts = {str(path): (_ROOT / path).read_text(encoding="utf-8") for path in files if _ROOT / path != Path(__file__)}
    return {
        path: {name for names in _MARK.findall(text) for name in re.findall(r'"(\w+)"', names)}
        for path, text in texts.items()
        if _CHECKS.search(text) or _MARK.search(text)
    }


def test_a_file_that_asks_the_checkers_says_which_promises_it_shows():
    """A file whose tests ask a checker names promises in a mark: without it, a broken one may pass for bad luck."""
    assert [path for path, promises in _promises_shown().items() if not promises] == []


def test_each_promise_is_shown_by_a_test():
    """The promises that marks name are those of the page about reliability, all of them."""
    page = (_ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")

    assert set().union(*_promises_shown().values()) == set(_PROMISE.findall(page))
