"""Callables as processors."""

import functools

import pytest

from backstay.batch.attempt import Work, recorded_usage
from backstay.batch.item import Item
from backstay.batch.outcome import NOTHING_USED, AttemptUsage
from backstay.batch.processor import CallableProcessor
from backstay.errors import ProcessorUnusable

_ITEM = Item("tea", id="a")


async def _async_item(item):
    return (item,)


async def _async_both(item, work):
    return item, work


def _item(item):
    return (item,)


def _both(item, work):
    return item, work


def _other_default(item, temperature=0.7):
    return item, temperature


def _other_name(item, attempt):
    return item, attempt


def _work_default(item, work=None):
    return item, work


def _positional_only(item, /):
    return (item,)


def _any(*arguments):
    return arguments


def _with_options(item, *, depth=3, **more):
    return (item,)


class _Callable:
    def __call__(self, item):
        return (item,)

    def method(self, item, work):
        return item, work

    async def async_method(self, item):
        return (item,)

    @classmethod
    def of_class(cls, item):
        return (item,)

    @staticmethod
    def of_none(item, work):
        return item, work


class _AsyncCallable:
    async def __call__(self, item, work):
        return item, work


def _three(first, item, work):
    return item, work


async def _async_three(first, item, work):
    return item, work


@functools.wraps(_async_both)
def _wrapped(*arguments, **named):
    return _async_both(*arguments, **named)


@pytest.mark.parametrize(
    ("processor", "is_async", "takes_work"),
    [
        (_async_item, True, False),
        (_async_both, True, True),
        (_item, False, False),
        (_both, False, True),
        (_other_default, False, False),
        (_other_name, False, True),
        (_work_default, False, True),
        (_positional_only, False, False),
        (_any, False, False),
        (_with_options, False, False),
        (lambda item: (item,), False, False),
        (lambda item, work: (item, work), False, True),
        (_Callable(), False, False),
        (_Callable().method, False, True),
        (_Callable().async_method, True, False),
        (_Callable.of_class, False, False),
        (_Callable.of_none, False, True),
        (_AsyncCallable(), True, True),
        (functools.partial(_three, "first"), False, True),
        (functools.partial(_async_three, "first"), True, True),
        (functools.partial(_both, work=1), False, False),
        (functools.partial(_AsyncCallable()), True, True),
        (functools.partial(functools.partial(_AsyncCallable())), True, True),
        (repr, False, False),
    ],
)
async def test_callable_is_called_as_it_wants(processor, is_async, takes_work):
    """A callable is called with the item, and with the attempt if its signature accepts one."""
    callee, work = CallableProcessor.from_processor(processor), Work(1)

    returned = callee.call(_ITEM, work)
    if is_async:
        returned = await returned

    assert (callee.is_async, callee.takes_work) == (is_async, takes_work)
    if isinstance(returned, tuple):
        assert returned[0] is _ITEM
        assert (work in returned) == takes_work


def test_class_is_called_as_its_constructor():
    """A class is called like a function, and its instance is then judged like any result."""

    class Made:
        def __init__(self, item):
            self.item = item

    callee = CallableProcessor.from_processor(Made)

    assert (callee.is_async, callee.takes_work) == (False, False)
    assert callee.call(_ITEM, Work(1)).item is _ITEM


def test_callable_without_a_signature_takes_the_item():
    """A built-in without a signature is called with the item only."""
    callee = CallableProcessor.from_processor(dict)

    assert (callee.is_async, callee.takes_work) == (False, False)


def _nothing():
    pass


def _needs_three(item, work, third):
    pass


def _needs_keyword(item, *, depth):
    pass


def _only_named(**named):
    pass


class _NeedsTwo:
    def __init__(self, item, work, more):
        pass


@pytest.mark.parametrize("processor", [_nothing, _needs_three, _needs_keyword, _only_named, _NeedsTwo, lambda: None])
def test_other_signatures_are_refused(processor):
    """A callable with another signature is refused before the first item."""
    with pytest.raises(ProcessorUnusable, match=r"must take \(item\) or \(item, work\)$") as caught:
        CallableProcessor.from_processor(processor)

    assert caught.value.message.startswith(processor.__qualname__)


@pytest.mark.parametrize("processor", [None, 5, "module:function", [_item]])
def test_what_cannot_be_called_is_refused(processor):
    """A value that is not callable is refused with its type."""
    with pytest.raises(ProcessorUnusable, match=rf"this is an? {type(processor).__name__}$"):
        CallableProcessor.from_processor(processor)


# -- reported usage and answers --------------------------------------------------------------------


def test_usage_adds_up():
    """Tokens of several calls in one attempt are summed."""
    work = Work(1)

    work.usage(tokens_in=3, tokens_out=1)
    work.usage(tokens_out=4)
    work.usage()

    assert recorded_usage(work) == AttemptUsage(3, 5, None)


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ({}, NOTHING_USED),
        ({"tokens_in": 3}, AttemptUsage(3, 0, None)),
        ({"tokens_out": 4}, AttemptUsage(0, 4, None)),
    ],
)
def test_usage_of_one_kind_is_recorded(used, expected):
    """An attempt that reports tokens of one kind only has used those."""
    work = Work(1)

    work.usage(**used)

    assert recorded_usage(work) == expected


@pytest.mark.parametrize("tokens", [3.0, True, "3"])
def test_tokens_are_whole_numbers(tokens):
    """Number types of other libraries are converted to int, so that the database accepts them."""
    work = Work(1)

    work.usage(tokens_in=tokens)

    assert type(recorded_usage(work).tokens_in) is int


@pytest.mark.parametrize("tokens", [-1, 2**63, float("nan"), None, "many"])
def test_absurd_tokens_are_the_processors_mistake(tokens):
    """Negative or absurdly large token numbers raise an error in the processor."""
    with pytest.raises((ValueError, TypeError)):
        Work(1).usage(tokens_in=tokens)


def test_raw_answer_is_capped():
    """Only the latest raw answer is recorded, up to 64,000 characters."""
    work = Work(1)

    work.raw("first")
    work.raw("é" * 70_000)

    assert recorded_usage(work).raw == "é" * 64_000


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("half \udc80 pair", "half \\udc80 pair"), (b"bytes \xff", "b'bytes \\xff'"), ([1, 2], "[1, 2]"), (None, "None")],
)
def test_raw_answer_is_made_fit_to_be_stored(answer, expected):
    """A raw answer is converted to text that a database can store."""
    work = Work(1)

    work.raw(answer)

    assert recorded_usage(work).raw == expected
