"""The image and the compose file: what can be seen of them without an engine."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from backstay.cli.app import app
from backstay.server.settings import _ENVIRONMENT
from support.serving import served

_ROOT = Path(__file__).parents[2]
_KNOWN = {
    "FROM",
    "WORKDIR",
    "COPY",
    "RUN",
    "ENV",
    "USER",
    "VOLUME",
    "EXPOSE",
    "STOPSIGNAL",
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
}
_OURS = {name for names in _ENVIRONMENT.values() for name in names} | {"BACKSTAY_DATABASE_URL", "BACKUP_DIRECTORY"}


@pytest.fixture
def instructions():
    """The instructions of the Dockerfile, each with what it says."""
    text = re.sub(r"^#.*\n", "", (_ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def _all(instructions, name):
    return [said for instruction, said in instructions if instruction == name]


def test_instructions_are_known(instructions):
    """And the first one says what it is built on, with a version."""
    assert {name for name, _ in instructions} <= _KNOWN
    for image in _all(instructions, "FROM"):
        assert re.fullmatch(r"python:\d+\.\d+-slim( AS \w+)?", image)


def test_it_does_not_run_as_root(instructions):
    """The last user that is named is none, by number, so that an orchestrator can see it."""
    names = [name for name, _ in instructions]
    assert _all(instructions, "USER") == ["10001"]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_what_is_copied_is_there(instructions):
    """And let through by .dockerignore, which lets through nothing else."""
    through = {line[1:] for line in (_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(said)[:-1] for said in _all(instructions, "COPY") if "--from" not in said]

    for name in [name for names in copied for name in names]:
        assert (_ROOT / name).exists()
        assert name.removeprefix("./") in through
    assert (_ROOT / ".dockerignore").read_text().startswith("*\n")


def test_packages_are_pinned_and_leave_no_cache(instructions):
    """What is installed is what the tests have seen."""
    (install,) = [said for said in _all(instructions, "RUN") if "pip install" in said]

    assert "--constraint constraints.txt" in install
    assert "--no-cache-dir" in install


def test_the_commands_exist(instructions):
    """In the form that has no shell between: signals reach the server."""
    (entry,), (command,), (check,) = (_all(instructions, name) for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))

    assert json.loads(entry)[0] == "backstay"
    assert json.loads(command)[0] in typer.main.get_command(app).commands
    compile(json.loads(check.partition("CMD ")[2])[2], "healthcheck", "exec")


def test_the_health_check_passes_whatever_the_server_is_called(instructions, tmp_path):
    """The image's own check, run as it stands, finds a server healthy that is bound to the names users know it by."""
    (check,) = _all(instructions, "HEALTHCHECK")
    _, *arguments = json.loads(check.partition("CMD ")[2])

    with served(tmp_path, jwt_mode=True, BACKSTAY_ALLOWED_HOSTS="api.example") as server:
        environment = {"PATH": os.environ["PATH"], "BACKSTAY_PORT": str(server.port)}
        checked = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    assert checked.returncode == 0, checked.stderr


def test_settings_of_the_image_are_ours(instructions):
    """A variable that nobody reads would say nothing."""
    said = " ".join(_all(instructions, "ENV"))

    names = set(re.findall(r"\b((?:BACKSTAY|BACKUP)_\w+)=", said))
    assert names == {"BACKSTAY_HOST", "BACKUP_DIRECTORY"}
    assert names <= _OURS


def test_the_compose_file_is_whole():
    """Services that others wait for are there and can be waited for; volumes are declared; secrets have no defaults."""
    compose = yaml.safe_load((_ROOT / "compose.yaml").read_text())
    services = compose["services"]

    assert set(services) == {"postgres", "migrate", "server"}
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]
        for name, value in service["environment"].items():
            assert name in _OURS or name.startswith("POSTGRES_")
            if "PASSWORD" in value:
                assert ":?" in value
    assert services["migrate"]["command"][0] in typer.main.get_command(app).commands
    assert services["server"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])
    assert (services["server"]["read_only"], services["server"]["cap_drop"]) == (True, ["ALL"])
