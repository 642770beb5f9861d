"""The image and the compose file, as far as they can be checked without a container engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from backstay.cli.app import app
from backstay.generate.providers import PROVIDERS
from backstay.server.settings import _ENVIRONMENT, load
from backstay.settings import load as load_settings
from support.fakes.provider import KEY, ProviderServer
from support.servers.api import served

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
_OF_PROVIDERS = {
    name
    for provider in PROVIDERS.values()
    for name in (provider.key_variable, provider.base_url_variable)
    if name is not None
}
_EXAMPLE = _ROOT / "examples" / "server"


@pytest.fixture
def instructions():
    """The instructions of the Dockerfile with their arguments."""
    text = re.sub(r"^#.*\n", "", (_ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


@pytest.fixture
def compose():
    """The parsed compose file."""
    return yaml.safe_load((_ROOT / "compose.yaml").read_text())


def _all(instructions, name):
    return [said for instruction, said in instructions if instruction == name]


def _environment(instructions):
    """Return the variables that the image sets."""
    return dict(word.split("=", 1) for said in _all(instructions, "ENV") for word in shlex.split(said))


def _volume(instructions):
    """Return the directory of the image that outlives its containers."""
    (volume,) = json.loads(_all(instructions, "VOLUME")[-1])
    return volume


def _resolved(environment, variables):
    """Return the variables of a service as compose would set them for a user with the given variables."""
    form = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")
    return {
        name: form.sub(lambda match: variables.get(match[1]) or (match[3] if match[2] == "-" else ""), str(value))
        for name, value in environment.items()
    }


def test_instructions_are_known(instructions):
    """The Dockerfile has only known instructions, and the first one names a base image with a version."""
    assert {name for name, _ in instructions} <= _KNOWN
    for image in _all(instructions, "FROM"):
        assert re.fullmatch(r"python:\d+\.\d+-slim( AS \w+)?", image)


def test_it_does_not_run_as_root(instructions):
    """The last user of the Dockerfile is not root and is numeric, so that an orchestrator can check it."""
    names = [name for name, _ in instructions]
    assert _all(instructions, "USER") == ["10001"]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_what_is_copied_is_there(instructions):
    """Every copied file exists, and .dockerignore admits these files and no others."""
    through = {line[1:] for line in (_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [shlex.split(said)[:-1] for said in _all(instructions, "COPY") if "--from" not in said]

    for name in [name for names in copied for name in names]:
        assert (_ROOT / name).exists()
        assert name.removeprefix("./") in through
    assert (_ROOT / ".dockerignore").read_text().startswith("*\n")


def test_packages_are_pinned_and_leave_no_cache(instructions):
    """The image installs the package versions of the tests, and leaves no cache."""
    (install,) = [said for said in _all(instructions, "RUN") if "pip install" in said]

    assert "--constraint constraints.txt" in install
    assert "--no-cache-dir" in install


def test_the_commands_exist(instructions):
    """The image runs existing commands without a shell, so that signals reach the server."""
    (entry,), (command,), (check,) = (_all(instructions, name) for name in ("ENTRYPOINT", "CMD", "HEALTHCHECK"))

    assert json.loads(entry)[0] == "backstay"
    assert json.loads(command)[0] in typer.main.get_command(app).commands
    compile(json.loads(check.partition("CMD ")[2])[2], "healthcheck", "exec")


def test_the_health_check_passes_whatever_the_server_is_called(instructions, tmp_path):
    """The image's own health check passes for a server that only allows the host names of its users."""
    (check,) = _all(instructions, "HEALTHCHECK")
    _, *arguments = json.loads(check.partition("CMD ")[2])

    with served(tmp_path, jwt_mode=True, BACKSTAY_ALLOWED_HOSTS="api.example") as server:
        environment = {"PATH": os.environ["PATH"], "BACKSTAY_PORT": str(server.port)}
        checked = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    assert checked.returncode == 0, checked.stderr


def test_settings_of_the_image_are_known(instructions):
    """Every variable that the image sets is a known setting."""
    names = {name for name in _environment(instructions) if name.startswith(("BACKSTAY_", "BACKUP_"))}
    assert names == {"BACKSTAY_HOST", "BACKUP_DIRECTORY"}
    assert names <= _OURS


def test_what_a_container_writes_outlives_it(instructions, compose):
    """The library, backups and the home directory are in the volume, and temporary files are in memory."""
    volume, environment = Path(_volume(instructions)), _environment(instructions)
    start = Path(_all(instructions, "WORKDIR")[-1])
    (user,) = [said for said in _all(instructions, "RUN") if "useradd" in said]
    settings = load_settings(here=start, environ=environment)
    server = compose["services"]["server"]

    for path in (settings.database, settings.backup_folder, Path(re.search(r"--home-dir (\S+)", user)[1])):
        assert path.is_relative_to(volume), path
    assert f"library:{volume}" in server["volumes"]
    assert "TMPDIR" not in environment
    assert server["tmpfs"] == ["/tmp"]


def test_every_key_is_passed_on_to_the_server(compose):
    """API keys and gateway addresses reach the server under the providers' names, and no other service."""
    server, migrate = (compose["services"][name]["environment"] for name in ("server", "migrate"))
    server_variables = {names[0] for names in _ENVIRONMENT.values()} - {
        "BACKSTAY_HOST",
        "BACKSTAY_PORT",
        "BACKSTAY_AUTH",
    }

    assert {name for name in server if name in _OF_PROVIDERS} == _OF_PROVIDERS
    assert not _OF_PROVIDERS & migrate.keys()
    assert server_variables <= server.keys()
    for name in _OF_PROVIDERS:
        assert server[name] == f"${{{name}:-}}"


def test_recipes_are_mounted_and_cannot_be_written(instructions, compose):
    """The directory that compose mounts holds recipes, which the server finds and cannot write."""
    start = Path(_all(instructions, "WORKDIR")[-1])
    for name in ("server", "migrate"):
        mounts = [mount for mount in compose["services"][name]["volumes"] if isinstance(mount, dict)]
        assert {Path(mount["target"]) for mount in mounts} == {start / "backstay.toml", start / "recipes"}
        for mount in mounts:
            source = _resolved({"source": mount["source"]}, {})["source"]
            assert (_ROOT / source).resolve() == _EXAMPLE / Path(mount["target"]).name
            assert (_ROOT / source).exists()
            assert (mount["read_only"], mount["bind"]) == (True, {"create_host_path": False})

    server = load(here=_EXAMPLE, environ={})

    assert server.allowlist().recipes
    assert all(Path(path).is_relative_to(_EXAMPLE / "recipes") for path in server.recipes.values())


def test_a_batch_runs_as_in_a_container(instructions, compose, tmp_path):
    """With only the variables and directories of the container, the job of a recipe reaches its model."""
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "tmp").mkdir()
    shutil.copytree(_EXAMPLE / "recipes", volume / "recipes")
    image = {name: value for name, value in _environment(instructions).items() if name != "PATH"}

    with ProviderServer() as model:
        variables = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": model.base_url, "BACKSTAY_ALLOWED_HOSTS": "api.example"}
        environment = _resolved(compose["services"]["server"]["environment"], variables)
        del environment["BACKSTAY_DATABASE_URL"]  # this machine has no user postgres, the image's default
        environment = {**image, **environment, "BACKSTAY_HOST": "127.0.0.1", "TMPDIR": str(tmp_path / "tmp")}
        environment |= {
            name: value.replace(_volume(instructions), str(volume))
            for name, value in environment.items()
            if value.startswith(_volume(instructions))
        }
        del environment["BACKSTAY_JWT_SECRET"], environment["BACKSTAY_JWT_ISSUER"]
        with served(volume, (_EXAMPLE / "backstay.toml").read_text(), jwt_mode=True, **environment) as server:
            server.client.headers["Host"] = "api.example"
            made = server.client.post("/api/batches", json={"jobId": "j", "items": [{"topic": "x"}], "recipe": "tutor"})
            assert made.status_code == 201, made.text
            server.wait_for(lambda: server.client.get("/api/batches/j").json()["state"] == "completed")
            (stored,) = server.client.get("/api/conversations").json()["conversations"]
            server.client.post("/api/backup/create", json={"conversationIds": [stored["id"]]}).raise_for_status()

    assert [call.headers["Authorization"] for call in model.calls] == [f"Bearer {KEY}"]
    assert {path.name for path in tmp_path.iterdir()} == {"volume", "tmp"}
    assert {path.name for path in volume.iterdir()} == {
        ".backstay", "backups", "backstay.toml", "recipes", "server.log"
    }  # fmt: skip
    assert list((volume / "backups").rglob("*.json.zst"))


def test_the_compose_file_is_whole(compose):
    """Dependencies of services exist and have health checks, volumes are declared, and secrets have no defaults."""
    services = compose["services"]

    assert set(services) == {"postgres", "migrate", "server"}
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]
        for volume in [entry for entry in service.get("volumes", []) if isinstance(entry, str)]:
            assert volume.partition(":")[0] in compose["volumes"]
        for name, value in service["environment"].items():
            assert name in _OURS | _OF_PROVIDERS or name.startswith("POSTGRES_")
            if "PASSWORD" in value:
                assert ":?" in value
    assert services["migrate"]["command"][0] in typer.main.get_command(app).commands
    assert services["server"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert all(port.startswith("127.0.0.1:") for port in services["server"]["ports"])
    assert (services["server"]["read_only"], services["server"]["cap_drop"]) == (True, ["ALL"])
