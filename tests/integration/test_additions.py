"""An export format is one file and a provider one row: added to a copy of the package, they appear everywhere."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import backstay

_ROOT = Path(__file__).parents[2]
_FORMAT = '''
from backstay.library.conversation import Conversation
from backstay.library.formats import Format


class Transcript(Format):
    """One line of plain text per turn."""

    label = "Transcript (text)"
    media_type = "text/plain; charset=utf-8"
    suffix = "txt"

    def chunk(self, conversation: Conversation) -> bytes:
        return "".join(f"{turn.role}: {turn.content}\\n" for turn in conversation.turns).encode()
'''
_ROW = 'OpenAICompatible(name="acme", base_url="https://api.acme.example/v1", key_variable="ACME_API_KEY"),'
_REQUESTS = """
import asyncio, json, sys
from pathlib import Path

import httpx
from backstay.server import ServerSettings, create_app, running
from backstay.settings import load

_JSON = {"Authorization": f"Bearer {'t' * 40}"}


async def main():
    server = ServerSettings(recipes={"ours": sys.argv[1]}, processors=["scripted"])
    app = create_app(load(), server, token="t" * 40)
    async with running(app), httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8717"
    ) as client:
        openapi = (await client.get("/openapi.json", headers=_JSON)).json()
        body = {"all": True, "format": "transcript"}
        export = await client.post("/api/conversations/export", headers=_JSON, json=body)
        job = {"jobId": "new", "items": [{"topic": "Tea"}], "recipe": "ours"}
        refused = await client.post("/api/batches", headers=_JSON, json=job)
        page = await client.get("/conversations", headers=_JSON)
        print(json.dumps({
            "openapi": openapi, "export": [export.status_code, *map(export.headers.get, _HEADERS), export.text],
            "refused": refused.json(), "page": page.text,
        }))


_HEADERS = ("content-type", "content-disposition")
asyncio.run(main())
"""


@dataclass(frozen=True)
class _Copy:
    """A copy of the package, the folder of its library, and the environment of processes that import it."""

    folder: Path
    environment: dict[str, str]

    def run(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            check=False,
            cwd=folder or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "backstay", *words)

    @cached_property
    def answers(self) -> dict[str, Any]:
        ended = self.run("-c", _REQUESTS, "recipe.toml")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])


def _copied(folder: Path, *, added: bool) -> _Copy:
    package = folder / "path" / "backstay"
    shutil.copytree(Path(backstay.__file__).parent, package)
    if added:
        (package / "library" / "formats" / "transcript.py").write_text(_FORMAT)
        hosted = package / "generate" / "providers" / "hosted_providers.py"
        hosted.write_text(hosted.read_text().replace("HOSTED = (\n", f"HOSTED = (\n    {_ROW}\n", 1))
    (folder / "topics.csv").write_text("topic\nTea\n")
    (folder / "recipe.toml").write_text(f'model = "{"acme" if added else "openai"}:small"\n')
    own = ("BACKSTAY", "BACKUP", "ACME", "OPENAI", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    copy = _Copy(folder, environment | {"PYTHONPATH": str(package.parent)})
    imported = copy.run("-c", "import backstay; print(backstay.__file__)").stdout.strip()
    assert imported == str(package / "__init__.py")
    assert copy.command("run", "topics.csv", "--model", "scripted").returncode == 0
    return copy


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> _Copy:
    """The package with a format and a provider more."""
    return _copied(tmp_path_factory.mktemp("extended"), added=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> _Copy:
    """The package as it is."""
    return _copied(tmp_path_factory.mktemp("plain"), added=False)


def _command_exports(copy: _Copy) -> None:
    shown = copy.command("conversations", "export", "--help").stdout
    exported = copy.command("conversations", "export", "--all", "--format", "transcript")

    assert "transcript" in shown
    assert exported.stdout.startswith("user: "), exported.stderr


def _api_exports(copy: _Copy) -> None:
    answers = copy.answers
    status, media_type, disposition, text = answers["export"]

    assert "transcript" in answers["openapi"]["components"]["schemas"]["ExportFormat"]["enum"]
    export = answers["openapi"]["paths"]["/api/conversations/export"]["post"]["responses"]["200"]
    assert "text/plain" in export["content"]
    assert (status, media_type) == (200, "text/plain; charset=utf-8")
    assert 'filename="conversations.transcript.txt"' in disposition
    assert text.startswith("user: ")


def _page_offers_format(copy: _Copy) -> None:
    assert '<option value="transcript">Transcript (text)</option>' in copy.answers["page"]


def _command_knows_provider(copy: _Copy) -> None:
    shown = copy.command("run", "--help").stdout
    dry = copy.command("run", "topics.csv", "--model", "acme:small", "--dry-run")
    keyless = copy.command("run", "topics.csv", "--model", "acme:small", "--job", "other")
    unnamed = copy.command("run", "topics.csv", "--job", "other")

    assert "acme" in shown
    assert "acme, at https://api.acme.example/v1; ACME_API_KEY is not set" in dry.stdout, dry.stderr
    assert "ACME_API_KEY" in keyless.stderr
    assert "acme" in unnamed.stderr


def _api_knows_provider(copy: _Copy) -> None:
    error = copy.answers["refused"]["error"]

    assert error["code"] == "api_key_missing"
    assert "ACME_API_KEY" in error["message"]


def _docs_are_incomplete(copy: _Copy) -> None:
    ended = copy.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "explained", "tests/docs/test_docs.py", folder=_ROOT
    )

    failed = {line.split()[1].rpartition("::")[2] for line in ended.stdout.splitlines() if line.startswith("FAILED")}
    assert failed == {"test_every_export_format_is_explained", "test_every_provider_is_explained"}, ended.stdout
    assert "transcript" in ended.stdout
    assert "`acme`" in ended.stdout


_CHECKS = [
    _command_exports, _api_exports, _page_offers_format, _command_knows_provider, _api_knows_provider,
    _docs_are_incomplete,
]  # fmt: skip


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_an_addition_appears_everywhere(extended, check):
    """A format in one file and a provider in one row appear in commands, the API, pages and the test of the docs."""
    check(extended)


@pytest.mark.parametrize("check", _CHECKS, ids=lambda check: check.__name__.strip("_"))
def test_what_is_not_added_appears_nowhere(plain, check):
    """Without the file and the row, each of these checks fails."""
    with pytest.raises(AssertionError):
        check(plain)
