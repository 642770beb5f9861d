"""A second signal is distinguished from a repetition of the first."""

import time

from backstay.signal_counter import SAME_SIGNAL_SECONDS, SignalCounter


def test_only_a_later_signal_is_a_second_one(monkeypatch):
    """Signals within half a second of the first count as the same; a later one is a second signal."""
    signals = SignalCounter()
    moments = iter([7.0, 7.0, 7.0 + SAME_SIGNAL_SECONDS, 7.1 + SAME_SIGNAL_SECONDS, 9.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))

    assert [signals.is_second() for _ in range(5)] == [False, False, False, True, True]
