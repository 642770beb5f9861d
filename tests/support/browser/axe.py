"""axe-core, from npm, which finds accessibility problems of a page."""

import os
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from support.harness import requirements

VERSION = "4.10.2"
_KEPT = Path(__file__).parents[3] / ".axe-core" / f"axe-{VERSION}.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_COLOURS = ["color-contrast", "link-in-text-block"]


async def violations(page: Any, *, only_colours: bool = False) -> list[str]:
    """Return the problems of a page as it is now, one line each; or only those of its colours."""
    # Before its styles are there, its colours are not.
    await page.wait_for_load_state()
    await page.evaluate(_source())
    rules = {"type": "rule", "values": _COLOURS} if only_colours else {"type": "tag", "values": _RULES}
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    problems = await page.evaluate("(options) => axe.run(document, options).then((done) => done.violations)", options)
    return [
        f"{problem['id']}: {problem['help']}: {node['target']} {node.get('failureSummary', '')}"
        for problem in problems
        for node in problem["nodes"]
    ]


@cache
def _source() -> str:
    if not _KEPT.exists():
        _fetch()
    return _KEPT.read_text()


def _fetch() -> None:
    npm = shutil.which("npm") or requirements.missing("npm")
    _KEPT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT.parent) as folder:
        ran = subprocess.run(
            [npm, "pack", "--silent", f"axe-core@{VERSION}"],
            cwd=folder,
            env={**os.environ, "npm_config_update_notifier": "false"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        packed = next(Path(folder).glob("*.tgz"), None) or requirements.missing(
            f"axe-core ({ran.stderr.strip()[:200]})"
        )
        with tarfile.open(packed) as archive:
            content = archive.extractfile("package/axe.min.js")
            assert content is not None
            made = Path(folder) / "made.js"
            made.write_bytes(content.read())
        made.replace(_KEPT)
