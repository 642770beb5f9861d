"""What the docs say is so: their links lead somewhere, their commands exist, their programs run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from holdfast import errors
from holdfast.cli.app import app

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)]*)?\)")


def _name(page: Path) -> str:
    return str(page.relative_to(_ROOT))


def _blocks(page: Path, *languages: str) -> list[str]:
    return [text for language, text in _BLOCK.findall(page.read_text()) if language in languages]


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_links_lead_somewhere(page):
    """Every link to a file of the project finds it."""
    for target, _ in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_commands_exist(page):
    """Every `holdfast …` line in a shell block names a command and options that there are."""
    for block in _blocks(page, "console", "sh", "bash"):
        for line in block.splitlines():
            words = _words(line.removeprefix("$ "))
            if words[:1] == ["holdfast"]:
                _check_command(words[1:], line)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def _check_command(words: list[str], line: str) -> None:
    command = typer.main.get_command(app)
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word in {"|", ">", "&", "&&", ";"}:
            return
        if word.startswith("-") and word != "-":
            assert word.split("=")[0] in known | {"--help", "-h"}, f"{word} in: {line}"
        elif word in getattr(command, "commands", {}):
            command = command.commands[word]
            known |= {option for parameter in command.params for option in parameter.opts}
    assert command.name != "holdfast" or not [w for w in words if not w.startswith("-")], f"no such command: {line}"


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_programs_are_python(page):
    """Every Python block compiles."""
    for block in _blocks(page, "python"):
        compile(block, _name(page), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT: excerpts may await


@pytest.mark.parametrize("page", [_ROOT / "README.md", _ROOT / "docs" / "quickstart.md"], ids=_name)
def test_whole_programs_run(page, tmp_path):
    """Python blocks that start themselves (`asyncio.run`) run as they stand."""
    programs = [block for block in _blocks(page, "python") if "asyncio.run(" in block]

    assert programs, "there is a program to try"
    for program in programs:
        (tmp_path / "program.py").write_text(program)
        ran = subprocess.run(
            [sys.executable, "program.py"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr


def test_every_error_code_is_explained():
    """The reference lists each code."""
    page = (_ROOT / "docs" / "reference" / "errors.md").read_text()

    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.HoldfastError):
            assert f"`{kind.code}`" in page, kind.code


def test_every_decision_is_listed():
    """The index of decisions names each page."""
    folder = _ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()

    for page in folder.glob("[0-9]*.md"):
        assert page.name in index, page.name
