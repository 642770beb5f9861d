"""What a victim did, as an outside witness has it: a file that survives whatever happens to the process."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Ledger:
    """Appends lines; each is one write, so that lines of several processes never mix."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def called(self, item_id: str, attempt: int, nonce: str) -> None:
        """Note that the processor was called, before it does anything."""
        self._write({"called": item_id, "attempt": attempt, "nonce": nonce, "pid": os.getpid()})

    def reported(self, completed: int) -> None:
        """Note that the engine said so many items are completed."""
        self._write({"reported": completed})

    def arrived(self) -> None:
        """Record that the process has reached the gate."""
        self._write({"arrived": os.getpid()})

    def misbehaves(self, how: str) -> None:
        """Record that a processor starts its fault."""
        self._write({"misbehaves": how})

    def told_to_stop(self) -> None:
        """Record that a stop signal was received."""
        self._write({"told_to_stop": os.getpid()})

    def died(self) -> None:
        """Note that the process is about to be killed by itself."""
        self._write({"died": os.getpid()})

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._descriptor, json.dumps(line).encode() + b"\n")


@dataclass
class Witness:
    """What a ledger says."""

    calls: list[tuple[str, int, str]] = field(default_factory=list)
    """Item, attempt, nonce of the answer."""
    reported: int = 0
    """The most completed items that the engine ever reported."""
    arrived: int = 0
    """How many processes have reached the gate."""
    misbehaviour: list[str] = field(default_factory=list)
    """The faults that processors have started."""
    stops: int = 0
    """How many stop signals were received."""

    @classmethod
    def from_ledger(cls, path: Path) -> "Witness":
        witness = cls()
        for line in _lines(path):
            if "called" in line:
                witness.calls.append((line["called"], line["attempt"], line["nonce"]))
            elif "reported" in line:
                witness.reported = max(witness.reported, line["reported"])
            elif "misbehaves" in line:
                witness.misbehaviour.append(line["misbehaves"])
            witness.arrived += "arrived" in line
            witness.stops += "told_to_stop" in line
        return witness


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    if path.exists():
        with path.open("rb") as file:
            yield from map(json.loads, file)
