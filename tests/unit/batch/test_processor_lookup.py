"""What processes the items of a job: what a program passes, or what the job names."""

from dataclasses import replace

import pytest

from backstay.batch.job import JobState
from backstay.batch.processor_lookup import ProcessorLookup, processor_name
from backstay.batch.progress import TokenCounts
from backstay.errors import ProcessorNotPortable, SettingsError


class _Recipe:
    """A recipe of a model, without fields."""

    model = "tiny"

    def frozen(self):
        return {}

    def check(self, item, where):
        pass

    def estimate(self, item, where):
        return TokenCounts()

    def differences(self, stored):
        return ()


class _Source:
    """A source of processors that notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def resolve(self, name):
        self.asked.append(name)
        return _process

    def recipe(self, frozen, *, base_url=None):
        self.asked.append((frozen, base_url))
        return _Recipe()

    async def writer(self, recipe):
        self.asked.append(recipe.model)
        return _process


def _process(item):
    return None


def _other(item):
    return None


@pytest.fixture
def source():
    return _Source()


@pytest.fixture
def lookup(source):
    return ProcessorLookup(source)


@pytest.fixture
def named(a_job):
    return replace(a_job(JobState.PENDING), processor="scripted")


@pytest.fixture
def by_recipe(named):
    return replace(named, processor="tiny", recipe={"turns": 2}, revision=3)


async def test_a_program_passes_a_function_a_name_or_a_recipe(lookup, source):
    """A function is called itself; a name and a recipe are resolved by the source."""
    functions = [(await lookup.from_process(process)).function for process in (_other, "scripted", _Recipe())]

    assert functions == [_other, _process, _process]
    assert source.asked == ["scripted", "tiny"]
    assert [processor_name(process) for process in (_other, "scripted", _Recipe())] == ["caller", "scripted", "tiny"]


@pytest.mark.parametrize("process", ["scripted", _Recipe()], ids=["name", "recipe"])
async def test_errors_to_retry_are_of_a_function(lookup, process):
    """Only a function of the program may name the errors after which an item is tried again."""
    assert (await lookup.from_process(_other, (KeyError,))).retry_on == (KeyError,)
    with pytest.raises(SettingsError, match="retry_on"):
        await lookup.from_process(process, (KeyError,))


async def test_a_job_is_resumed_by_what_it_names(lookup, source, a_job, named, by_recipe):
    """A job is resumed by the function that is passed, else by its recipe or its name; a program's own needs that."""
    caller = a_job(JobState.PENDING)

    assert (await lookup.from_job(caller, _other, (KeyError,))).retry_on == (KeyError,)
    assert (await lookup.from_job(named)).function is _process
    assert (await lookup.from_job(by_recipe)).function is _process
    assert [(await lookup.from_job(job)).revision for job in (by_recipe, named)] == [3, None]
    assert (await lookup.from_job(by_recipe, _other)).revision is None
    assert source.asked == ["scripted", *[({"turns": 2}, None), "tiny"] * 2, "scripted"]
    assert (lookup.recipe(named), lookup.recipe(by_recipe).model) == (None, "tiny")
    for retry_on in ((), (KeyError,)):
        with pytest.raises(ProcessorNotPortable):
            await lookup.from_job(caller, retry_on=retry_on)
    with pytest.raises(SettingsError, match="retry_on"):
        await lookup.from_job(named, retry_on=(KeyError,))


async def test_a_base_url_is_of_a_recipe(lookup, source, named, by_recipe):
    """A base URL reaches the recipe of a job, and is refused where no recipe is used."""
    await lookup.from_job(by_recipe, base_url="http://one/")

    assert source.asked[0] == ({"turns": 2}, "http://one/")
    for job, process in ((named, None), (by_recipe, _other)):
        with pytest.raises(SettingsError, match="a base URL has no effect"):
            await lookup.from_job(job, process, base_url="http://one/")
