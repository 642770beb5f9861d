"""The links of the docs resolve, their commands exist, and their programs run."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import backstay
from backstay import errors, limits, settings
from backstay.cli.app import app
from backstay.cli.remedies import PHRASES
from backstay.generate.providers import PROVIDERS
from backstay.generate.recipe import Recipe
from backstay.library.archive import Manifest
from backstay.library.choices import ExportFormat
from backstay.library.trainer_checks import WarningKind
from backstay.remedy import Remedy
from backstay.server.settings import _ENVIRONMENT, ServerSettings
from backstay.settings import Settings

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
    """Every link to a file of the project resolves."""
    for target, _ in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_commands_exist(page):
    """Every `backstay …` line in a shell block uses existing commands and options."""
    for block in _blocks(page, "console", "sh", "bash"):
        for line in block.splitlines():
            words = _words(line.removeprefix("$ "))
            if words[:1] == ["backstay"]:
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
    assert command.name != "backstay" or not [w for w in words if not w.startswith("-")], f"no such command: {line}"


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_programs_are_python(page):
    """Every Python block of the docs compiles."""
    for block in _blocks(page, "python"):
        compile(block, _name(page), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT: excerpts may await


@pytest.mark.parametrize(
    "page",
    [_ROOT / name for name in ("README.md", "docs/quickstart.md", "docs/guides/interchange.md")],
    ids=_name,
)
def test_whole_programs_run(page, tmp_path):
    """Python blocks that call `asyncio.run` run as they are, next to a file of conversations."""
    messages = [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "No."}]
    (tmp_path / "chats.jsonl").write_text(f"{json.dumps({'messages': messages})}\nno JSON\n")
    programs = [block for block in _blocks(page, "python") if "asyncio.run(" in block]

    assert programs, "there is a program to try"
    for program in programs:
        (tmp_path / "program.py").write_text(program)
        ran = subprocess.run(
            [sys.executable, "program.py"], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr


def test_every_error_code_is_explained():
    """The reference of errors lists every code."""
    page = (_ROOT / "docs" / "reference" / "errors.md").read_text()

    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.BackstayError):
            assert f"`{kind.code}`" in page, kind.code


def test_every_remedy_is_explained():
    """The reference of errors lists every remedy with its phrase on the command line."""
    page = (_ROOT / "docs" / "reference" / "errors.md").read_text()
    arguments = {"job_id": "JOB", "backup_id": "BACKUP", "host": "HOST", "map": "NAME", "directory": "DIRECTORY"}
    arguments |= {"column_name": "COLUMN", "encoding": "cp1252", "conversation_id": "ID"}

    for remedy in Remedy:
        phrase = PHRASES[remedy].format(**arguments, raw={"use": "VARIABLE@HOST"})
        assert f"| `{remedy}` | {phrase} |" in page, remedy


def test_every_public_name_is_on_the_page_about_the_python_api():
    """The page about the Python API renders each name that `backstay` exports."""
    page = (_ROOT / "docs" / "reference" / "python.md").read_text()

    for name in set(backstay.__all__) - {"errors"}:
        assert f"\n::: backstay.{name}\n" in page, name


def test_ways_through_the_code_name_files_that_exist():
    """Each file on the ways through the code exists, so that a reader can follow them."""
    page = (_ROOT / "CONTRIBUTING.md").read_text()
    section = page.partition("## Three ways through the code")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", section)
    assert len(files) > 20
    assert [file for file in files if not (_ROOT / "src/backstay" / file).is_file()] == []


def test_every_decision_is_listed():
    """The index of decisions links every decision."""
    folder = _ROOT / "docs" / "engineering" / "decisions"
    index = (folder / "README.md").read_text()

    for page in folder.glob("[0-9]*.md"):
        assert page.name in index, page.name


_GUIDE = _ROOT / "docs" / "guides" / "delete-without-fear.md"


def _tried(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the lines of a guide in a folder with the files of a clone."""
    (folder / "examples").symlink_to(_ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY", "BACKUP"))}
    return subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**surroundings, "PATH": path},
    )


def test_the_guide_to_deleting_works_word_for_word(tmp_path):
    """All commands of the guide to deleting run in order, and the program of the format page reads the backup."""
    script = "".join(_blocks(_GUIDE, "sh"))
    program = _blocks(_ROOT / "docs" / "backup-format.md", "python")[0]
    (tmp_path / "read.py").write_text(program)

    ran = _tried(script + "\npython3 read.py .backstay/backstay.backups/*/$BACKUP.json.zst", tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "120 conversations deleted." in ran.stdout
    assert "120 conversations restored, 120 items linked to them again." in ran.stdout
    assert (tmp_path / "before.jsonl").read_bytes() == (tmp_path / "after.jsonl").read_bytes()
    assert ran.stdout.count(" assistant ") >= 120


def test_the_converter_of_the_guide_works(tmp_path):
    """The converter of the guide keeps what the guide says, for two made-up dialogues."""
    turn = {"speaker": "USER", "utterance": "Hello", "frames": [{"state": {"slots": [1]}}]}
    turns = [turn, {**turn, "speaker": "SYSTEM"}]
    dialogues = [{"dialogue_id": f"d{number}", "services": ["s"], "turns": turns} for number in (1, 2)]
    (tmp_path / "dialogues.json").write_text(json.dumps(dialogues))
    (tmp_path / "convert.py").write_text(_blocks(_GUIDE, "python")[0])

    ran = _tried(
        "python3 convert.py < dialogues.json > dialogues.jsonl\n"
        "backstay conversations import dialogues.jsonl\n"
        "backstay conversations show d1 --json\n",
        tmp_path,
    )

    assert ran.returncode == 0, ran.stderr
    conversation = json.loads(ran.stdout.splitlines()[1])
    assert conversation["metadata"] == {"dialogue_id": "d1", "services": ["s"]}
    assert [turn["role"] for turn in conversation["turns"]] == ["user", "assistant"]
    assert conversation["turns"][0]["metadata"] == {"frames": [{"state": {"slots": [1]}}]}


def test_format_page_shows_a_backup():
    """The example of the format page is a valid backup, apart from its omissions."""
    example = json.loads(_blocks(_ROOT / "docs" / "backup-format.md", "json")[0])

    head = Manifest("", "", "", "", "").to_line() + b"]}"
    assert list(example)[:8] == list(json.loads(head))
    assert list(example)[8:] == ["related", "integrity"]


_API_GUIDE = _ROOT / "docs" / "guides" / "http-api.md"


def test_the_guide_to_the_api_works_word_for_word(tmp_path):
    """All commands of the API guide run in order on a free port, with the results that it shows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = "".join(_blocks(_API_GUIDE, "sh")).replace("8717", port)

    ran = _tried(f"trap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT\n{script}", tmp_path)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert '"processors":["scripted:0.1"]' in ran.stdout
    assert "event: progress" in ran.stdout
    assert '"state":"interrupted"' in ran.stdout
    assert '"state":"completed"' in (tmp_path / "events.txt").read_text()
    assert len(json.loads((tmp_path / "backup.json").read_text())["conversations"]) == 120
    assert '{"conversations":[],"nextCursor":null,"previousCursor":null,"total":null}' in ran.stdout
    assert '"restored":120' in ran.stdout
    assert len((tmp_path / "before.jsonl").read_text().splitlines()) == 120


def test_every_code_of_the_api_is_explained():
    """The reference of the API lists every code that only HTTP has."""
    page = (_ROOT / "docs" / "reference" / "http-api.md").read_text()
    source = "".join(path.read_text() for path in (_ROOT / "src" / "backstay" / "server").rglob("*.py"))
    codes = set(re.findall(r'Problem\(\s*\d+,\s*"(\w+)"', source)) | {
        "internal_error",
        "invalid_request",
        "unauthorized",
    }

    assert len(codes) >= 12
    for code in codes:
        assert f"`{code}`" in page, code


def test_every_method_in_the_docs_of_an_element_exists():
    """The page about the elements names methods that their scripts define."""
    page = (_ROOT / "docs" / "reference" / "elements.md").read_text()
    sections = re.findall(r"^## `<([\w-]+)>`$(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    static = _ROOT / "src" / "backstay" / "server" / "web" / "static"
    methods = [
        (name, method)
        for name, section in sections
        for row in re.findall(r"^\| methods \|(.*)\|$", section, re.MULTILINE)
        for method in re.findall(r"`(\w+)\(", row)
    ]

    assert len(methods) >= 4
    for name, method in methods:
        assert re.search(rf"^  (async )?{method}\(", (static / f"{name}.js").read_text(), re.MULTILINE), (name, method)


def test_every_setting_has_a_row_in_the_quickstart():
    """The table of settings names each field of the settings file and its variable."""
    table = (_ROOT / "docs" / "quickstart.md").read_text().partition("### Settings")[2].partition("\n## ")[0]
    names = {name for row in table.splitlines() if row.startswith("|") for name in re.findall(r"[\w]+", row)}

    assert set(Settings.model_fields) - settings._NOT_IN_FILES <= names
    assert set(settings.VARIABLES) <= names


def test_every_setting_of_the_server_is_explained():
    """The docs name every server setting, or its variable."""
    page = (_ROOT / "docs" / "reference" / "http-api.md").read_text()

    for name in ServerSettings.model_fields:
        variables = _ENVIRONMENT.get(name, ())
        assert any(f"`{item}`" in page or f"`{item}" in page for item in (name, *variables)), name


def test_limits_of_requests_are_those_that_apply():
    """The reference of the API states the limits that requests are checked against."""
    page = (_ROOT / "docs" / "reference" / "http-api.md").read_text()
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", page.partition("## Limits of requests")[2], re.MULTILINE))

    for field, values in {
        "`conversationIds`, `itemIds`, `retryItems`": [limits.MAX_IDS],
        "`items` of `POST /api/batches`": [limits.MAX_ITEMS],
        "`limit` of a list": [limits.MAX_PAGE],
        "a new id or job name": [limits.MAX_ID],
        "`search`, `topicContains`; `persona`, `personaContains`": [limits.MAX_SEARCH, limits.MAX_PERSONA],
        "`note`; a tag; `tags`, `addTags`, `removeTags`": [limits.MAX_NOTE, limits.MAX_TAG, limits.MAX_TAGS],
        "names of columns, `recipe`, `processor`": [limits.MAX_NAME],
        "`reason`": [limits.MAX_REASON],
        "`concurrency`; `maxAttempts`; `timeoutSeconds`": [
            limits.MAX_CONCURRENCY,
            limits.MAX_ATTEMPTS,
            limits.MAX_SECONDS,
        ],
        "`rpm`; `tpm`": [limits.MAX_RPM, limits.MAX_TPM],
    }.items():
        assert re.findall(r"[\d,]*\d", rows[field])[: len(values)] == [f"{value:,}" for value in values], field


def test_every_provider_is_explained():
    """The guide has one row for each provider, with its endpoint, key variable and structures."""
    page = (_ROOT / "docs" / "guides" / "providers.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "_API_KEY` |" in line
    ]
    rows += [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "if it needs" in line
    ]

    assert {row[0] for row in rows} == {f"`{name}`" for name in PROVIDERS}
    for name, address, key, structures in rows:
        provider = PROVIDERS[name.strip("`")]
        assert address == (f"`{provider.base_url}`" if provider.base_url else "your resource's address, see below")
        assert f"`{provider.key_variable}`" in key
        assert structures == ", ".join(provider.structures)
        assert provider.base_url_variable is None or f"| `{provider.base_url_variable}` |" in page


def test_every_export_format_is_explained():
    """The quickstart has one row for each export format."""
    page = (_ROOT / "docs" / "quickstart.md").read_text()
    table = page.partition("| `--format` | shape |\n")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(ExportFormat)


def test_every_warning_of_an_import_is_explained():
    """Each reason why trainers refuse a conversation has a row on the page about files, and each row is one."""
    _, _, section = (_ROOT / "docs/guides/interchange.md").read_text().partition("## What trainers refuse")

    assert re.findall(r"^\| `(\w+)`", section.partition("\n## ")[0], re.MULTILINE) == list(WarningKind)


def test_every_field_of_a_recipe_is_explained():
    """The guide's table lists every field of a recipe."""
    page = (_ROOT / "docs" / "guides" / "generation.md").read_text()

    for name in Recipe.model_fields:
        assert f"| `{name}` |" in page, name
