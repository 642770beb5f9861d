"""A victim whose time of day another program moves: by as many seconds as a file beside its ledger says.

Everything that asks Python for the time of day gets the moved one; monotonic clocks stay as they are. With
`--without bound` an item may wait for however long its row says.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backstay.clock import SystemClock
from backstay.storage.sql import work
from support.faults import victim

_CENTURY = 100 * 365 * 86_400 * 1_000_000
_time, _time_ns = time.time, time.time_ns


def move_clock(ledger: Path, seconds: int) -> None:
    """Change the time of day of this ledger's victims from now on."""
    unfinished = _file(ledger).with_suffix(".unfinished")
    unfinished.write_text(str(seconds))
    unfinished.rename(_file(ledger))


def _file(ledger: Path) -> Path:
    return ledger.with_suffix(".clock")


def _skew(ledger: Path) -> None:
    def moved() -> int:
        return int(_file(ledger).read_text())

    victim.replace(SystemClock, "now", lambda _: datetime.now(UTC) + timedelta(seconds=moved()))
    victim.replace(time, "time", lambda: _time() + moved())
    victim.replace(time, "time_ns", lambda: _time_ns() + moved() * 1_000_000_000)


if __name__ == "__main__":
    options = victim.arguments(sys.argv[1:])
    if options.without == "bound":
        victim.replace(work, "_MAX_WAIT_MICROS", _CENTURY)
        sys.argv[1:] = [word for word in sys.argv[1:] if word not in ("--without", "bound")]
    _skew(options.ledger)
    victim.main()
