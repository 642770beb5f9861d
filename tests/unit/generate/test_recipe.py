"""Recipes: their fields, their files, what is refused in them, and how two of them differ."""

import json
from pathlib import Path

import pytest

from backstay.batch.item import Item
from backstay.errors import OutputUnwritable, RecipeError
from backstay.generate import starter
from backstay.generate.recipe import Recipe, fingerprint

_MODEL = {"model": "openai:gpt-4o-mini"}


def _write(tmp_path: Path, text: str, name: str = "recipe.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def _refused(path: Path | None, **changes: object) -> str:
    with pytest.raises(RecipeError) as raised:
        Recipe.load(path, changes)
    assert "\n" not in raised.value.message
    return raised.value.message


def test_toml_and_yaml_say_the_same(tmp_path):
    """Both kinds of file make the same recipe."""
    toml = _write(
        tmp_path, 'model = "ollama:llama3"\nturns = 6\n[roles]\nuser = "a sailor"\n[parameters]\ntop_p = 0.5\n'
    )
    yaml = _write(
        tmp_path, "model: ollama:llama3\nturns: 6\nroles: {user: a sailor}\nparameters:\n  top_p: 0.5\n", "r.yaml"
    )

    assert Recipe.load(toml).frozen() == Recipe.load(yaml).frozen()


def test_options_win_over_the_file(tmp_path):
    """What is given besides the file replaces its fields; None replaces nothing."""
    path = _write(tmp_path, 'model = "openai:a"\nturns = 6\n')

    recipe = Recipe.load(path, {"model": "openai:b", "turns": None})

    assert (recipe.model, recipe.turns) == ("openai:b", 6)


def test_what_is_frozen_makes_the_same_recipe():
    """A job's recipe, read back from its JSON, is equal, fingerprint included."""
    recipe = Recipe(model="openai:gpt-4o", turns=8, system="Be {{ mood }}.", parameters={"seed": 1, "stop": ["x"]})

    again = Recipe.of(json.loads(json.dumps(recipe.frozen())))

    assert again.frozen() == recipe.frozen()
    assert again.fingerprint == recipe.fingerprint == fingerprint(recipe.frozen())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('model = "openai:x"\ntemprature = 0.5', "there is no field 'temprature'; did you mean temperature?"),
        ('model = "openai:x"\nturns = "4"', "turns is wrong"),
        ('model = "openai:x"\nturns = 0', "turns is wrong"),
        ('model = "openai:x"\nturns = true', "turns is wrong"),
        ('model = "openai:x"\ntemperature = nan', "temperature is wrong"),
        ('model = "openai:x"\n[parameters]\nday = 2025-01-01', "a date cannot be sent as JSON"),
        ('model = "openai:x"\n[parameters]\nn = inf', "infinite"),
        ('model = "openai:x"\n[roles]\nsystem = "x"', "there is no role 'system'"),
        ('model = "openai:x"\nprompt = "{{ topic"', "the prompt, line 1"),
        ('model = "openai:x"\nprompt = "  "', "prompt is wrong"),
        ("turns = 4", "names no model"),
        ('model = "openai:', "not valid TOML"),
        ('model = "gpt-4o"', "Nobody can tell whose model 'gpt-4o' is"),
        ('model = "opnai:gpt-4o"', "There is no provider 'opnai'"),
        ('model = "openai:"', "has no name after the colon"),
        ('model = "openai:x"\napi_key_env = "sk-1 2"', "api_key_env is wrong"),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path, text, says):
    """Each mistake is told with its field and, where there is one, its remedy."""
    assert says in _refused(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: &a openai:x\nsystem: *a\n", "aliases"),
        ("model: openai:x\nmodel: openai:y\n", "set twice"),
        ("- model\n", "no table of fields"),
        ("model: [openai", "line"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "no table of fields"),
        ("{[1]: 2}", ""),
    ],
)
def test_yaml_is_read_strictly(tmp_path, text, says):
    """Nothing in a file runs, grows, or is quietly overruled."""
    assert says in _refused(_write(tmp_path, text, "recipe.yaml"))


def test_files_that_are_none(tmp_path):
    """Missing, a folder, not text, of another kind, too large."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)

    assert "There is no recipe" in _refused(tmp_path / "missing.toml")
    assert "cannot be read" in _refused(tmp_path / "folder.toml")
    assert "not UTF-8" in _refused(tmp_path / "bytes.toml")
    assert "larger than 1 MB" in _refused(tmp_path / "large.toml")
    assert "ends in neither" in _refused(_write(tmp_path, "", "recipe.json"))


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {"api_key": "x"}},
        {"parameters": {"extra": {"Authorization": "x"}}},
        {"parameters": {"user": "sk-0123456789abcdef0123"}},
        {"system": "Use sk-proj_0123456789abcdef0123 please"},
        {"prompt": "Bearer abcdefghijklmnop {{ topic }}"},
        {"parameters": {"sk-0123456789abcdef0123": 1}},
        {"language": "hunter2-hunter2"},
    ],
)
def test_a_credential_in_a_recipe_is_refused(monkeypatch, fields):
    """A recipe is stored and shown, so nothing in it may be a key; the message does not repeat it."""
    monkeypatch.setenv("SOME_API_KEY", "hunter2-hunter2")

    with pytest.raises(RecipeError, match="carries a credential") as raised:
        Recipe.of({**_MODEL, **fields})

    assert "0123456789abcdef" not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_ordinary_parameters_are_no_credentials():
    """What only sounds like one is let through."""
    recipe = Recipe.of(
        {**_MODEL, "parameters": {"max_completion_tokens": 5, "logit_bias": {"50256": -1}, "user": "me"}}
    )

    assert recipe.parameters["user"] == "me"


def test_differences_are_told_field_by_field():
    """Values are shown, prompts are not: where they differ is."""
    stored = Recipe(**_MODEL, prompt="One\nTwo {{ topic }}", parameters={"seed": 1}).frozen()
    given = Recipe(
        model="openai:gpt-4o", prompt="One\n2 {{ topic }}", temperature=0.5, parameters={"seed": 2}, system="x"
    )

    assert given.differences(given.frozen()) == []
    assert given.differences(stored) == [
        "model: openai:gpt-4o-mini, now openai:gpt-4o",
        "system: there was none, now there is",
        "prompt: differs from line 2 on (19 characters, now 17)",
        "temperature: none, now 0.5",
        "parameters.seed: 1, now 2",
    ]


def test_the_starting_files_fit_each_other(tmp_path):
    """The recipe that `init` writes is valid, and its topics have all that it uses; nothing is overwritten."""
    paths = starter.write(tmp_path)

    recipe = Recipe.load(paths[0])
    lines = paths[1].read_text().splitlines()
    for line in lines[1:]:
        values = dict(zip(lines[0].split(","), line.split(","), strict=True))
        recipe.check(Item(values["topic"], values["id"], values["persona"] or None, {"mood": values["mood"]}), "x")
    with pytest.raises(OutputUnwritable, match="is there already"):
        starter.write(tmp_path)
