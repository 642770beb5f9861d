"""Commands in an environment with a variable that means nothing."""

import json

from support.serving import served


def test_unknown_variable_is_named_once(within, backstay, monkeypatch):
    """A command goes on, and names the variable once on standard error with the one that was probably meant."""
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
    """With a JSON log the warning is one object."""
    monkeypatch.setenv("BACKSTAY_OWNR", "me")

    (line,) = within("--log-format", "json", "init").err.splitlines()[:1]

    found = json.loads(line)
    assert (found["event"], found["variable"], found["nearest"]) == (
        "unknown_variable",
        "BACKSTAY_OWNR",
        "BACKSTAY_OWNER",
    )


def test_server_logs_an_unknown_variable_once(tmp_path):
    """`backstay serve` names it when it starts, and not again with a request."""
    with served(tmp_path, BACKSTAY_MOST_JOBS="3", BACKSTAY_DATABASE_URL=str(tmp_path / "a.db")) as server:
        for _ in range(3):
            assert server.client.get("/healthz").status_code == 200
        server.stop()

        assert len(server.logged("unknown_variable")) == 1
