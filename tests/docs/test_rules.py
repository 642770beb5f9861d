"""Rules of this code base that can be checked in its text."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.former_name import NAME
from support.harness.requirements import missing

_ROOT = Path(__file__).parents[2]


def _files() -> Iterator[Path]:
    """Yield all files that are tracked."""
    if shutil.which("git") is None or not (_ROOT / ".git").exists():
        missing("what is tracked is known to git, in a clone")
    listed = subprocess.run(
        # The clone may be another user's.
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        check=True,
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (_ROOT / name).is_file():
            yield Path(name)


def _text(path: Path) -> str:
    return (_ROOT / path).read_text(encoding="utf-8", errors="replace")


# -- sizes -------------------------------------------------------------------------------------------------------------


def _class_sizes(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name of each class in a module, and its number of lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_no_class_has_more_than_200_lines():
    """Each class is short enough to be read at once."""
    modules = (path for path in _files() if path.suffix == ".py" and path.parts[0] == "src")
    sizes = [(str(path), name, lines) for path in modules for name, lines in _class_sizes(_text(path))]

    assert len(sizes) > 300
    assert [each for each in sizes if each[2] > 200] == []


# -- the name ----------------------------------------------------------------------------------------------------------

_MAY_NAME_IT = (Path("changelog.d"), Path("CHANGELOG.md"), Path("src/backstay/former_name.py"))


def test_the_former_name_is_gone():
    """The former name appears only in the changelog and in the module that refuses it."""
    named = [
        str(path)
        for path in _files()
        if not any(path.is_relative_to(exempt) for exempt in _MAY_NAME_IT)
        and (NAME in str(path).lower() or NAME.encode() in (_ROOT / path).read_bytes().lower())
    ]

    assert named == []


_FROM_INDEX = re.compile(
    r"\b(?:uvx|pipx run|(?:pip3?|pipx|uv|poetry|pdm|hatch|conda)\b[^\n`;&|#]*\b(?:install|add|upgrade|download))\b"
    r"[^\n`;&|#]*[\s'\"(*>]backstay(?:\[[\w,]+\])?(?!\w|/|-|\.\w| @)",
    re.IGNORECASE,
)


def test_no_line_installs_from_the_index():
    """No line installs the project from the package index before it is published there."""
    sent = [
        f"{path}:{number}: {line.strip()}"
        for path in _files()
        if not path.is_relative_to("tests")
        for number, line in enumerate(_text(path).splitlines(), 1)
        if _FROM_INDEX.search(line)
    ]

    assert sent == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("pip install backstay", True),
        ("python -m pip install -U 'backstay[server]'", True),
        ("upgrade with `pip install -U backstay`, then resume", True),
        ("Install it with pip install backstay.", True),
        ("<code>pip install <b>Backstay</b></code>", True),
        ("uv add backstay", True),
        ("uvx backstay run topics.csv", True),
        ("pipx install 'backstay'", True),
        ("pip install backstay>=0.1", True),
        ("pip install '.[server]'   # in a checkout of Backstay", False),
        ("add it with `pip install '.[server]'` in a checkout of Backstay", False),
        ("pip install . && backstay serve", False),
        ("uv run backstay serve", False),
        ("conda activate backstay", False),
        ("pip install dist/backstay-0.1.0-py3-none-any.whl", False),
        ("pip install backstay-0.1.0-py3-none-any.whl", False),
        ("pip install 'backstay @ file:///dist/backstay.whl'", False),
        ("/opt/backstay/bin/pip install '.[server]'", False),
    ],
)
def test_what_counts_as_the_index(line, is_found):
    """A requirement by name comes from the index; a checkout or a wheel does not."""
    assert bool(_FROM_INDEX.search(line)) == is_found


# -- tests wait for signs ----------------------------------------------------------------------------------------------

_SLEEP = re.compile(r"(?:sleep|wait_for_timeout)\s*\(\s*(?P<length>[^)#]*?)\s*\)(?P<rest>[^\n]*)")
_REASON = re.compile(r"#(?!\s*(?:noqa|type:|fmt:)).*\w")


def _unexplained(text: str) -> list[int]:
    """Return the lines that sleep for 0.2 s or more, or for an unknown time, and give no reason."""
    numbers = []
    for match in _SLEEP.finditer(text):
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        try:
            is_short = float(match["length"]) < 0.2
        except ValueError:
            is_short = False
        if not (is_short or _REASON.search(match["rest"]) or "#" in before):
            numbers.append(text.count("\n", 0, match.start()) + 1)
    return numbers


def test_tests_wait_for_signs():
    """Tests that sleep for 0.2 s or more give the reason on the same line."""
    unexplained = [
        f"{path}:{number}"
        for path in _files()
        if path.is_relative_to("tests") and path.suffix == ".py" and _ROOT / path != Path(__file__)
        for number in _unexplained(_text(path))
    ]

    assert unexplained == []


@pytest.mark.parametrize(
    ("text", "is_unexplained"),
    [
        ("time.sleep(0.2)", True),
        ("await asyncio.sleep(1)", True),
        ("await asyncio.sleep(delay=5)", True),
        ("time.sleep(\n    3\n)", True),
        ("self._sleep (2)", True),
        ("page.wait_for_timeout(500)", True),
        ("time.sleep(seconds)", True),
        ("time.sleep(chance.uniform(0, 2))", True),
        ("time.sleep(5)  # noqa: ASYNC251", True),
        ("time.sleep(0.05)", False),
        ("time.sleep(1e-1)", False),
        ("await asyncio.sleep(0)", False),
        ("time.sleep(60)  # longer than the test's timeout", False),
        ("# time.sleep(5) was here", False),
    ],
)
def test_what_counts_as_a_reason(text, is_unexplained):
    """A short sleep between two polls needs no reason; a longer one does."""
    assert bool(_unexplained(text)) == is_unexplained


# -- promises ----------------------------------------------------------------------------------------------------------

_CHECKS = re.compile(r"(?<!axe\.)\bviolations\(|\.broken\(")
_PROMISE = re.compile(r"^\| ([A-Z]\d+) \|", re.MULTILINE)
_CONTROLS = Path("tests/acceptance/test_controls.py")


def _marked(text: str) -> set[str]:
    """Return the promises that a file of tests names in the mark of all its tests."""
    return {
        str(name.value)
        for statement in ast.parse(text).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark"
        for call in ast.walk(statement.value)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.promise"
        for name in call.args
        if isinstance(name, ast.Constant)
    }


def _tests() -> Iterator[tuple[Path, str]]:
    for path in _files():
        if path.is_relative_to("tests") and path.match("test_*.py") and _ROOT / path != Path(__file__):
            yield path, _text(path)


def test_a_file_that_asks_a_checker_names_its_promises():
    """Every test file that calls a checker names its promises in a mark, so that no failure is treated as flaky."""
    assert [str(path) for path, text in _tests() if _CHECKS.search(text) and not _marked(text)] == []


def test_each_promise_is_shown_by_a_test():
    """The marks name exactly the promises of the page about reliability, those of the controls left aside."""
    page = _text(Path("docs/engineering/reliability.md"))

    assert set().union(*(_marked(text) for path, text in _tests() if path != _CONTROLS)) == set(_PROMISE.findall(page))
