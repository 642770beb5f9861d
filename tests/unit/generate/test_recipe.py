"""Recipes: fields, files, validation, and differences."""

import json
from importlib import resources
from pathlib import Path

import pytest

from backstay.batch.item import Item
from backstay.errors import OutputUnwritable, RecipeError, UnknownVariable
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
    """The same recipe in TOML and in YAML is equal."""
    toml = _write(
        tmp_path, 'model = "ollama:llama3"\nturns = 6\n[roles]\nuser = "a sailor"\n[parameters]\ntop_p = 0.5\n'
    )
    yaml = _write(
        tmp_path, "model: ollama:llama3\nturns: 6\nroles: {user: a sailor}\nparameters:\n  top_p: 0.5\n", "r.yaml"
    )

    assert Recipe.load(toml).frozen() == Recipe.load(yaml).frozen()


def test_options_win_over_the_file(tmp_path):
    """Options replace the fields of the file, except options that are None."""
    path = _write(tmp_path, 'model = "openai:a"\nturns = 6\n')

    recipe = Recipe.load(path, {"model": "openai:b", "turns": None})

    assert (recipe.model, recipe.turns) == ("openai:b", 6)


def test_what_is_frozen_makes_the_same_recipe():
    """A recipe restored from its JSON is equal, fingerprint included."""
    recipe = Recipe(model="openai:gpt-4o", turns=8, system="Be {{ mood }}.", parameters={"seed": 1, "stop": ["x"]})

    again = Recipe.from_fields(json.loads(json.dumps(recipe.frozen())))

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
        ('model = "gpt-4o"', "The model 'gpt-4o' names no provider"),
        ('model = "opnai:gpt-4o"', "Provider 'opnai' not found; did you mean openai?"),
        ('model = "acme:gpt-4o"', "Provider 'acme' not found; the known providers are openai:…"),
        ('model = "openai:"', "has no name after the colon"),
        ('model = "openai"', "The model 'openai' is only the name of a provider; "),
        (
            'model = "openai:x"\napi_key_env = "sk-1 2"',
            "api_key_env is wrong: it should be the name of the environment",
        ),
        ('model = "openai:x"\nroles = "x"', "roles is wrong: it must be a table"),
        (
            f'model = "openai:x"\nparameters.a = {"[" * 100}{"]" * 100}',
            "parameters is wrong: it is nested more than 100 levels deep",
        ),
    ],
)
def test_a_wrong_recipe_is_one_clear_line(tmp_path, text, says):
    """Each mistake in a recipe is reported in one line with its field."""
    assert says in _refused(_write(tmp_path, text))


@pytest.mark.parametrize("name", ["sk-ant-0123456789abcdef", "a" * 129, "9" * 40, "sk.1 2"])
def test_a_key_in_place_of_its_variable_is_not_repeated(tmp_path, name):
    """A key pasted in place of a variable's name is not repeated in the error."""
    refused = _refused(_write(tmp_path, f'model = "openai:x"\napi_key_env = "{name}"'))

    assert "api_key_env" in refused
    assert name not in refused
    assert "pattern" not in refused


def test_a_wrong_template_is_named_with_its_file(tmp_path):
    """An invalid template is reported with its file and line."""
    refused = _refused(_write(tmp_path, 'model = "openai:x"\nsystem = """\nA\n{% if"""'))

    assert refused.startswith(f"{tmp_path / 'recipe.toml'}: the system prompt, line 2: ")
    assert _refused(_write(tmp_path, 'model = "gpt-4o"')).startswith("The model 'gpt-4o' names no provider")


def test_the_recipe_to_begin_with_says_what_is_there():
    """The starter recipe documents that a persona is optional, and printing a missing one is an error."""
    text = resources.files("backstay.generate.starter").joinpath("recipe.toml").read_text()

    assert "topic and id are always there,\n# persona where an item has one." in text
    with pytest.raises(UnknownVariable):
        Recipe(model="ollama:x", prompt="{{ persona }}").prompts.render(Item("tea"), "item 1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: &a openai:x\nsystem: *a\n", "aliases"),
        ("model: openai:x\nmodel: openai:y\n", "set twice"),
        ("- model\n", "not a table of fields"),
        ("model: [openai", "line"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "not a table of fields"),
        ("{[1]: 2}", ""),
        ("turns: !!bool maybe", "not valid YAML"),
        ("turns: !!int ''", "not valid YAML"),
        ("turns: !!timestamp x", "not valid YAML"),
        ("!!map [a]", "not valid YAML"),
        ('model: openai:x\nsystem: "\\ud800"', "system is wrong: a text has half of a surrogate pair"),
        ('model: openai:x\nroles: {user: "\\ud800"}', "roles is wrong: a text has half of a surrogate pair"),
        ('model: openai:x\nparameters: {a: ["\\ud800"]}', "parameters is wrong: a text has half of a surrogate pair"),
        ('model: openai:x\nparameters: {"\\ud800": 1}', "parameters is wrong: a text has half of a surrogate pair"),
    ],
)
def test_yaml_is_read_strictly(tmp_path, text, says):
    """YAML with code, aliases or duplicate fields is rejected."""
    assert says in _refused(_write(tmp_path, text, "recipe.yaml"))


def test_misspelt_model_is_suggested(tmp_path):
    """A misspelt field is reported before a missing one, which may be the one that was meant."""
    assert "there is no field 'modle'; did you mean model?" in _refused(_write(tmp_path, 'modle = "openai:x"'))


def test_number_that_is_too_long_is_reported(tmp_path):
    """A TOML file with a number of more digits than Python reads is rejected like any invalid file."""
    assert "not valid TOML" in _refused(_write(tmp_path, "turns = " + "9" * 5_000))


def test_files_that_are_none(tmp_path):
    """A recipe that is missing, a folder, not text, of another type or too large is reported."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)

    assert "missing.toml not found" in _refused(tmp_path / "missing.toml")
    assert "cannot be read" in _refused(tmp_path / "folder.toml")
    assert "not UTF-8" in _refused(tmp_path / "bytes.toml")
    assert "larger than 1 MB" in _refused(tmp_path / "large.toml")
    assert "must end in" in _refused(_write(tmp_path, "", "recipe.json"))


def test_ordinary_parameters_are_no_credentials():
    """Parameters whose names resemble those of credentials are accepted."""
    recipe = Recipe.from_fields(
        {**_MODEL, "parameters": {"max_completion_tokens": 5, "logit_bias": {"50256": -1}, "user": "me"}}
    )

    assert recipe.parameters["user"] == "me"


def test_differences_are_told_field_by_field():
    """Differences show the values of fields, and only the position of changes in prompts."""
    stored = Recipe(**_MODEL, prompt="One\nTwo {{ topic }}", parameters={"seed": 1}).frozen()
    current = Recipe(
        model="openai:gpt-4o", prompt="One\n2 {{ topic }}", temperature=0.5, parameters={"seed": 2}, system="x"
    )

    assert current.differences(current.frozen()) == []
    assert current.differences(stored) == [
        "model: openai:gpt-4o-mini, now openai:gpt-4o",
        "system: added",
        "prompt: differs from line 2 on (19 characters, now 17)",
        "temperature: none, now 0.5",
        "parameters.seed: 1, now 2",
    ]
    assert current.differences(stored, with_texts=True)[1:3] == [
        "system: added\n@@ -0,0 +1 @@\n+x",
        "prompt: differs from line 2 on (19 characters, now 17)\n"
        "@@ -1,2 +1,2 @@\n One\n-Two {{ topic }}\n+2 {{ topic }}",
    ]


def test_the_starting_files_fit_each_other(tmp_path):
    """The starter recipe is valid, fits the starter topics, and overwrites no file."""
    paths = starter.write(tmp_path)

    recipe = Recipe.load(paths[0])
    lines = paths[1].read_text().splitlines()
    for line in lines[1:]:
        values = dict(zip(lines[0].split(","), line.split(","), strict=True))
        item = Item(values["topic"], values["id"], values["persona"] or None, {"mood": values["mood"]})
        assert f"mood: {values['mood']}.\n" in recipe.prompts.render(item, "x").user
    assert "mood" not in recipe.prompts.render(Item("Tea", "1", None, {}), "a file with topics only").user
    with pytest.raises(OutputUnwritable, match="exists already"):
        starter.write(tmp_path)


# -- fields added later --------------------------------------------------------------------------------------------

_FROZEN_BEFORE = (
    '{"model": "writer", "base_url": "http://127.0.0.1:1/v1", "api_key_env": null, "system": "Be brief.", '
    '"prompt": "Write a conversation about this topic: {{ topic }}\\n{%- if persona %}\\nThe user is {{ persona }}.'
    '\\n{%- endif %}", "turns": 2, "language": null, "roles": {}, "temperature": 0.5, "max_tokens": null, '
    '"structured": "auto", "parameters": {"seed": 1}}'
)
_FINGERPRINT_BEFORE = "1d80fe1e94c45b153516db89de5b747f20000ee5a9001e4d69250b1f1ed14b8c"


def test_a_recipe_frozen_before_there_were_endpoints_fields_is_still_the_same():
    """A recipe stored before the endpoint's fields existed keeps its fingerprint."""
    stored = json.loads(_FROZEN_BEFORE)

    recipe = Recipe.from_fields(stored, "the job's recipe")

    assert recipe.frozen() == stored
    assert recipe.fingerprint == _FINGERPRINT_BEFORE
    assert recipe.differences(stored) == []
    other = Recipe.from_fields({**stored, "stream": True, "query": {"a": "b"}})
    assert other.differences(stored) == ["query.a: none, now b", "stream: none, now true"]
    assert recipe.differences(other.frozen()) == ["query.a: b, now none", "stream: true, now none"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        *(
            ({"headers": {name: "x"}}, f"{name!r} would carry a credential")
            for name in (
                "Authorization",
                "Proxy-Authorization",
                "api-key",
                "X-Api-Key",
                "x-goog-api-key",
                "Ocp-Apim-Subscription-Key",
                "Cookie",
                "X-Auth-Token",
                "Helicone-Auth",
                "cf-access-client-secret",
            )
        ),
        *(({"query": {name: "x"}}, f"{name!r} would carry a credential") for name in ("key", "api_key", "code", "sig")),
        ({"headers": {"X Team": "x"}}, "is not a valid header name"),
        ({"headers": {"Content-Length": "1"}}, "is set by the connection itself"),
        ({"headers": {"X-Team": "a\r\nX-Other: b"}}, "characters that a header cannot have"),
        ({"headers": {"X-Team": "a", "x-team": "b"}}, "is set twice"),
        ({"headers": {"X-Team": 1}}, "headers.X-Team is wrong"),
        ({"key_header": "Host"}, "is set by the connection itself"),
        ({"stream": "yes"}, "stream is wrong"),
        ({"parameters": {"stream": True}}, "set stream = true in the recipe itself"),
        ({"anthropic_version": "2023-06-01"}, "anthropic_version is for anthropic:… models"),
        ({"model": "anthropic:c", "anthropic_version": "new"}, "anthropic_version is wrong"),
        ({"model": "anthropic:c", "anthropic_version": "٢٠٢٣-٠٦-٠١"}, "anthropic_version is wrong"),
        (
            {"model": "anthropic:c", "anthropic_version": "2026-10-21", "temperature": 0.5},
            "does not accept temperature",
        ),
        (
            {"model": "anthropic:c", "anthropic_version": "2027-01-01", "parameters": {"top_k": 1, "top_p": 0.5}},
            "does not accept top_k, top_p",
        ),
        ({"model": "azure:gpt"}, "azure has a separate address for each customer"),
    ],
)
def test_what_an_endpoint_cannot_take_is_refused_before_the_first_call(fields, says):
    """An invalid endpoint option is rejected by the name of its field, without its value."""
    with pytest.raises(RecipeError) as raised:
        Recipe.from_fields({**_MODEL, **fields})

    assert says in raised.value.message
    assert "X-Other" not in raised.value.message


def test_ordinary_headers_and_versions_are_let_through():
    """Ordinary headers, and a temperature with an earlier API version, are accepted."""
    recipe = Recipe.from_fields(
        {
            "model": "anthropic:c",
            "anthropic_version": "2026-10-20",
            "temperature": 0.5,
            "headers": {"X-App-Id": "team", "HTTP-Referer": "https://app.example", "OpenAI-Organization": "org"},
            "query": {"api-version": "2024-10-21"},
            "parameters": {"stream": False},
        }
    )

    assert recipe.endpoint.request_headers("k")["anthropic-version"] == "2026-10-20"


def test_fields_of_a_file_are_told_from_those_of_the_program(tmp_path):
    """Only fields that come from a file count as fields from outside."""
    path = _write(tmp_path, 'model = "m"\nbase_url = "http://h/v1"\nturns = 2\n')

    assert Recipe.load(path).outside_fields == {"model", "base_url", "turns"}
    assert Recipe.load(path, {"base_url": "http://mine/v1"}).outside_fields == {"model", "turns"}
    assert Recipe(model="m", base_url="http://h/v1").outside_fields == frozenset()
