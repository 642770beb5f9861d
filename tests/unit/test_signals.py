"""When a signal is a second one."""

import time

from backstay.signals import SAME_SIGNAL_SECONDS, SignalCounter


def test_only_a_later_signal_is_a_second_one(monkeypatch):
    """Whatever comes within half a second of the first is that one, however often; what comes later is another."""
    signals = SignalCounter()
    moments = iter([7.0, 7.0, 7.0 + SAME_SIGNAL_SECONDS, 7.1 + SAME_SIGNAL_SECONDS, 9.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))

    assert [signals.is_second() for _ in range(5)] == [False, False, False, True, True]
