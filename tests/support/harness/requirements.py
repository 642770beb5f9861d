"""What a test needs of the machine.

One rule: what can be installed may be missing at home, where the test is skipped, and may not be missing in CI, where
it fails. What the kernel refuses cannot be mended by installing anything, so that is skipped everywhere, and named.
"""

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

from support.faults import strace


def in_ci() -> bool:
    return os.environ.get("CI", "") not in ("", "0", "false")


def program(name: str) -> str:
    """Return where a program is."""
    path = shutil.which(name)
    return path if path is not None else missing(name)


def injected_faults() -> None:
    """Need strace, and the kernel's leave to trace."""
    program("strace")
    if (reason := _strace_refusal()) is not None:
        refused(f"strace: {reason}")


def mounts_of_its_own() -> list[str]:
    """Return the command that starts a program in a mount namespace of its own, where it may mount."""
    program("nsenter")
    unshare = program("unshare")
    reason = "no reason given"
    for options in (["--mount"], ["--mount", "--map-root-user"]):
        command = [unshare, *options]
        trial = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "trial", "/mnt"]
        tried = subprocess.run(trial, capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return command
        reason = tried.stderr.strip()
    return refused(f"mounting in a namespace of its own: {reason}")


def rights_that_bind() -> list[str]:
    """Return the command that starts a program for which the rights of files hold, as they do not for root."""
    if os.geteuid() != 0:
        return []
    command = [program("setpriv"), "--bounding-set=-dac_override,-dac_read_search"]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return command if tried.returncode == 0 else refused(tried.stderr.strip())


def missing(what: str) -> NoReturn:
    """End the test for want of something that can be installed."""
    if in_ci():
        pytest.fail(f"{what} must be installed in CI")
    pytest.skip(f"{what} is not installed")


def refused(reason: str) -> NoReturn:
    """End the test because the kernel, or whoever confines us, does not allow what it needs."""
    pytest.skip(f"refused here: {reason}")


@cache
def _strace_refusal() -> str | None:
    return strace.refusal()
