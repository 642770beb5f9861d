"""Reviews of many conversations: who reviews, what is refused before anything changes, and interruptions."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backstay import Backstay, ReviewChange, ReviewChangeResult, Selection
from backstay.errors import ConversationNotFound, EmptySelection, SettingsError
from backstay.library.review import Review
from integration._killed_review import CHANGE
from support.data.conversations import items
from support.fakes.processors import Writer
from support.stores.sql import ask

_ALL = Selection(everything=True)
_STEP = 500
_FULL = [f"tag {n}" for n in range(50)]


async def _fill(backstay, count):
    await backstay.batches.run("batch", items(count), Writer())


async def _reviews(backstay):
    return [stored.review async for stored in backstay.conversations.export()]


async def test_a_selection_is_reviewed_in_steps(backstay):
    """A change reaches every selected conversation, reports its progress, and changes nothing the second time."""
    await _fill(backstay, _STEP + 20)
    seen = []

    result = await backstay.reviews.change(Selection(job_id="batch"), CHANGE, reviewer="Ann", on_progress=seen.append)
    again = await backstay.reviews.change(_ALL, CHANGE, reviewer="Bob")

    assert (result, seen) == (ReviewChangeResult(_STEP + 20, 0), [_STEP, _STEP + 20])
    assert again == ReviewChangeResult(0, _STEP + 20)
    assert {(review.status, review.rating, review.tags, review.reviewer) for review in await _reviews(backstay)} == {
        ("kept", 4, ("a", "b"), "Ann")
    }


async def test_an_unknown_id_is_refused_before_anything_changes(backstay):
    """A selection with an unknown id changes nothing, even if the id is in a later step."""
    await _fill(backstay, _STEP + 1)
    ids = [summary.id for summary in await backstay.conversations.list(limit=_STEP + 1)]

    with pytest.raises(ConversationNotFound, match="Conversation 'none' not found, so nothing was changed"):
        await backstay.reviews.change(Selection(ids=(*ids, "none")), CHANGE)

    assert set(await _reviews(backstay)) == {None}


async def test_nothing_selected_is_refused(backstay):
    """A selection without a condition is refused."""
    with pytest.raises(EmptySelection):
        await backstay.reviews.change(Selection(), CHANGE)


async def test_the_reviewer_is_the_setting_or_the_user(path, monkeypatch):
    """The reviewer is the argument, else BACKSTAY_REVIEWER, else the user of the machine."""
    monkeypatch.setenv("LOGNAME", "user")
    for variable, argument, expected in ((None, None, "user"), ("Ann", None, "Ann"), ("Ann", "Bob", "Bob")):
        if variable is not None:
            monkeypatch.setenv("BACKSTAY_REVIEWER", variable)
        async with Backstay.open(path) as backstay:
            await _fill(backstay, 1)
            await backstay.reviews.change(_ALL, ReviewChange("rejected"), reviewer=argument)
            (review,) = await _reviews(backstay)
            await backstay.reviews.change(_ALL, ReviewChange("unreviewed"))
        assert review.reviewer == expected


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 1_001, "\ud800"])
async def test_a_name_that_is_not_allowed_is_refused(backstay, name):
    """The name of a reviewer is one line of valid Unicode."""
    with pytest.raises(SettingsError, match="The name of the reviewer"):
        await backstay.reviews.change(_ALL, CHANGE, reviewer=name)


@pytest.mark.parametrize("by_id", [False, True], ids=["all", "by id"])
async def test_too_many_tags_are_refused_before_anything_changes(backstay, by_id):
    """A conversation of a later step that would have 51 tags is named, and no step is changed."""
    await _fill(backstay, _STEP + 10)
    stored = [each.id async for each in backstay.conversations.export()]
    await backstay.reviews.change(Selection(ids=(stored[-1],)), ReviewChange(tags=_FULL))
    selection = Selection(ids=tuple(stored)) if by_id else _ALL

    with pytest.raises(
        SettingsError, match=f"Conversation '{stored[-1]}': A conversation may have at most 50 tags, not 51"
    ):
        await backstay.reviews.change(selection, ReviewChange(add_tags=["a tag", _FULL[0]]))
    left = await _reviews(backstay)
    swapped = await backstay.reviews.change(selection, ReviewChange(add_tags=["a tag"], remove_tags=[_FULL[0]]))

    assert left[:-1] == [None] * (_STEP + 9)
    assert swapped.changed == _STEP + 10


async def test_tags_that_others_add_meanwhile_stop_a_change_that_says_what_it_did(path):
    """If a conversation gets its tags after the check, the message says how many others were changed before."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, _STEP + 10)
        *_, last = [each.id async for each in backstay.conversations.export()]

        async def fill():
            async with Backstay.open(path) as other:
                await other.reviews.change(Selection(ids=(last,)), ReviewChange(tags=_FULL))

        def fill_in_a_thread(_):
            with ThreadPoolExecutor() as pool:
                pool.submit(asyncio.run, fill()).result()

        message = f"'{last}': .* not 51; {_STEP} of the others were changed before, and the rest was not"
        with pytest.raises(SettingsError, match=message):
            await backstay.reviews.change(_ALL, ReviewChange(add_tags=["a tag"]), on_progress=fill_in_a_thread)
        reviews = await _reviews(backstay)

    assert [review is not None for review in reviews] == [True] * _STEP + [False] * 9 + [True]


async def test_a_review_is_expected_of_one_conversation_only(backstay):
    """A review can be expected of one id, and not of a selection, whose reviews differ."""
    await _fill(backstay, 2)

    with pytest.raises(SettingsError, match="A review can be expected of one conversation only"):
        await backstay.reviews.change(_ALL, CHANGE, expected=Review().digest())


async def test_changes_of_two_libraries_at_once_both_hold(path):
    """Two changes to the same conversations at once, each from its own connection, lose nothing."""
    async with Backstay.open(path) as first, Backstay.open(path) as second:
        await _fill(first, _STEP + 50)
        await asyncio.gather(
            first.reviews.change(_ALL, ReviewChange(rating=2, add_tags=["x"])),
            second.reviews.change(_ALL, ReviewChange("kept", add_tags=["y"])),
        )
        reviews = await _reviews(first)

    assert {(review.status, review.rating, review.tags) for review in reviews} == {("kept", 2, ("x", "y"))}


async def test_a_delete_at_the_same_time_leaves_no_review(path):
    """While conversations are reviewed, a delete of them ends with neither conversations nor reviews."""
    async with Backstay.open(path) as first, Backstay.open(path) as second:
        await _fill(first, _STEP)
        await asyncio.gather(
            first.reviews.change(_ALL, CHANGE),
            second.conversations.delete(_ALL, backup=False),
        )
        assert await first.conversations.count(_ALL) == 0

    for table in ("conversation_reviews", "conversation_tags"):
        assert ask(path, f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("when", ["before:1", "after:1", "before:2", "after:2"])
async def test_a_killed_change_is_completed_by_the_next(path, when):
    """A change that is killed at a commit leaves each conversation reviewed whole or not at all, and running it again
    completes it."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, 2 * _STEP)

    await asyncio.to_thread(_kill, path, when)

    async with Backstay.open(path) as backstay:
        left = await _reviews(backstay)
        result = await backstay.reviews.change(_ALL, CHANGE, reviewer="second")
        reviews = await _reviews(backstay)
    steps = int(when[-1]) - when.startswith("before")
    assert [review is None for review in left] == [False] * steps * _STEP + [True] * (2 - steps) * _STEP
    assert (result.changed, result.unchanged) == ((2 - steps) * _STEP, steps * _STEP)
    assert {(review.status, review.rating, review.note, review.tags) for review in reviews} == {
        ("kept", 4, "note", ("a", "b"))
    }


_STATEMENTS = 5
"""How many statements a step of `_killed_review` writes with."""


async def _killed_at(path, when):
    """Return how many conversations have no review, a part of it, and all of it, after a change died."""
    async with Backstay.open(path) as backstay:
        await _fill(backstay, 2 * _STEP)
    await asyncio.to_thread(_kill, path, when)
    async with Backstay.open(path) as backstay:
        reviews = await _reviews(backstay)
    whole = ("kept", 4, "note", ("a", "b"))
    none = sum(review is None for review in reviews)
    done = sum(
        review is not None and (review.status, review.rating, review.note, review.tags) == whole for review in reviews
    )
    return none, len(reviews) - none - done, done


@pytest.mark.parametrize("number", range(1, 2 * _STATEMENTS + 1))
async def test_killed_at_a_statement_no_review_is_in_part(path, number):
    """A change that is killed at any of its statements leaves whole steps: no review lacks its tags or its rating."""
    steps = (number - 1) // _STATEMENTS

    assert await _killed_at(path, f"statement:{number}") == ((2 - steps) * _STEP, 0, steps * _STEP)


async def test_reviews_in_pieces_would_be_noticed(path):
    """Control: if each statement were committed by itself, a kill would leave reviews without their tags."""
    _, in_part, _ = await _killed_at(path, f"piece:{_STATEMENTS - 1}")

    assert in_part == _STEP


async def test_a_change_has_no_more_statements_than_are_killed(path):
    """The change of the killed processes writes with exactly as many statements as the tests kill it at."""
    with pytest.raises(AssertionError, match="0 == -9"):
        await _killed_at(path, f"statement:{2 * _STATEMENTS + 1}")


def _kill(path, when):
    killed = subprocess.run(
        [sys.executable, "-m", "integration._killed_review", str(path), when],
        cwd=Path(__file__).parents[1], env={**os.environ}, check=False, timeout=60,
    )  # fmt: skip
    assert killed.returncode == -9


@pytest.mark.parametrize(("form", "name"), [("native", "all.jsonl"), ("parquet", "all.parquet")])
async def test_reviews_come_back_from_an_export(path, tmp_path, form, name):
    """An export that is imported into another library brings the reviews along, with who reviewed and when."""
    file = tmp_path / name
    async with Backstay.open(path) as backstay:
        await _fill(backstay, 3)
        first, *_ = await backstay.conversations.list(limit=1)
        await backstay.reviews.change(Selection(ids=(first.id,)), CHANGE, reviewer="Ann")
        await backstay.conversations.write_export(file, format=form)
        exported = {stored.id: stored.review async for stored in backstay.conversations.export()}
        await backstay.conversations.delete(_ALL)
        await backstay.conversations.import_file(file)
        again = await backstay.conversations.import_file(file)
        imported = {stored.id: stored.review async for stored in backstay.conversations.export()}

    assert imported == exported
    assert (again.imported, again.identical) == (0, 3)
    assert [review.reviewer for review in exported.values() if review is not None] == ["Ann"]
