"""Commands in an environment with an unknown variable."""

import json

import pytest

from support.servers.api import served

_SUPABASE = {
    "NEXT_PUBLIC_SUPABASE_URL": "https://project.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "very-secret",
}
_NAMED = (
    "to use a Supabase project, set BACKSTAY_DATABASE_URL to its connection string, which Connect at the top of the "
    "project's dashboard shows (Transaction pooler); the service role key is not used"
)


def test_unknown_variable_is_named_once(within, backstay, monkeypatch):
    """A command warns once of an unknown variable, names the nearest known one, and continues."""
    backstay.write("topics.csv", "Gardens")
    without = within("run", "topics.csv", "--model", "scripted", "--json")
    monkeypatch.setenv("BACKSTAY_DATABSE_URL", "other.db")
    monkeypatch.setenv("BACKSTAY_COLOUR", "green")

    ended = within("jobs", "--json")

    assert "BACKSTAY" not in without.err
    assert (ended.code, len(ended.json["jobs"])) == (0, 1)
    assert ended.err.splitlines() == [
        "Warning: BACKSTAY_COLOUR is not a setting of Backstay",
        "Warning: BACKSTAY_DATABSE_URL is not a setting of Backstay; did you mean BACKSTAY_DATABASE_URL?",
    ]


def test_unknown_variable_is_named_in_a_json_log(within, backstay, monkeypatch):
    """With a JSON log the warning of an unknown variable is one object."""
    monkeypatch.setenv("BACKSTAY_OWNR", "me")

    (line,) = within("--log-format", "json", "init").err.splitlines()[:1]

    result = json.loads(line)
    assert (result["event"], result["variable"], result["nearest"]) == (
        "variable_unknown",
        "BACKSTAY_OWNR",
        "BACKSTAY_OWNER",
    )


def test_server_logs_an_unknown_variable_once(tmp_path):
    """`backstay serve` names it when it starts, and not again with a request."""
    with served(tmp_path, BACKSTAY_MAX_JOBS="3", BACKSTAY_DATABASE_URL=str(tmp_path / "a.db")) as server:
        for _ in range(3):
            assert server.client.get("/healthz").status_code == 200
        server.stop()

        assert len(server.logged("variable_unknown")) == 1


def _set(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_supabase_without_an_address_of_its_database_is_said(within, backstay, monkeypatch):
    """With an app's variables alone, `run` and `doctor` name the library's file and the setting to use."""
    _set(monkeypatch, _SUPABASE)
    backstay.write("topics.csv", "Gardens")

    ended, checked = within("run", "topics.csv", "--model", "scripted", "--json"), within("doctor", "--json")

    reason = (
        "NEXT_PUBLIC_SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY name no database, so the library is "
        f"{backstay.database}"
    )
    assert ended.code == 0
    assert ended.err.splitlines() == [f"Warning: {reason}; {_NAMED}."]
    warnings = [check for check in checked.json["checks"] if check["name"] == "settings" and check["level"] != "ok"]
    assert [(check["level"], check["message"], check["remedy"]) for check in warnings] == [("warning", reason, _NAMED)]
    assert "very-secret" not in ended.err + checked.out


def test_a_file_of_variables_that_is_not_read_is_said_before_a_library_is_made(within, backstay):
    """A warning says that an app's file of variables is not read, as long as there is no library."""
    (backstay.folder / ".env.local").write_text("".join(f"{name}={value}\n" for name, value in _SUPABASE.items()))
    backstay.write("topics.csv", "Gardens")

    first, second = (within("run", "topics.csv", "--model", "scripted", "--json") for _ in range(2))

    assert first.err.splitlines() == [
        f"Warning: .env.local is not read, so the library is {backstay.database}; {_NAMED}."
    ]
    assert second.err == ""


@pytest.mark.parametrize("how", ["variable", "file", "option"])
def test_a_library_that_was_named_needs_no_warning(within, backstay, monkeypatch, how):
    """A command that names a database gives no warning."""
    _set(monkeypatch, _SUPABASE)
    backstay.write("topics.csv", "Gardens")
    if how == "variable":
        monkeypatch.setenv("BACKSTAY_DATABASE_URL", "a.db")
    elif how == "file":
        (backstay.folder / "backstay.toml").write_text('database_url = "a.db"')
    options = ["--database", "a.db"] if how == "option" else []

    ended = within(*options, "run", "topics.csv", "--model", "scripted", "--json")

    assert (ended.code, ended.err) == (0, "")
    assert not backstay.database.exists()


def test_server_says_once_that_supabase_names_no_database(tmp_path):
    """`backstay serve` gives the warning when it starts, and not again with a request."""
    with served(tmp_path, **_SUPABASE) as server:
        for _ in range(3):
            assert server.client.get("/healthz").status_code == 200
        server.stop()

        (note,) = server.logged("user_notified")[:1]
        assert note["text"].startswith("Warning: NEXT_PUBLIC_SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY name no")
        assert sum("name no database" in line["text"] for line in server.logged("user_notified")) == 1
