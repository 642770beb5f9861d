"""Runs every benchmark of this folder, one after the other; each answers one question with a Markdown table.

Options are handed on to each: `python benchmarks/run.py --rounds 3`.
"""

import subprocess
import sys
from pathlib import Path

_SCRIPTS = (
    "durable_rate.py",
    "creation_rate.py",
    "million_items.py",
    "million_conversations.py",
    "provider_rate.py",
    "waiting_simulation.py",
    "waiting_over_http.py",
    "provider_refusals.py",
    "backup_rate.py",
    "export_rate.py",
    "postgres_durable_rate.py",
    "postgres_workers.py",
    "postgres_million_items.py",
    "postgres_million_conversations.py",
    "postgres_backup_rate.py",
    "adopted_tables.py",
    "api_latency.py",
    "api_downloads.py",
    "api_listeners.py",
    "browser_pages.py",
)


def main() -> int:
    """Return the number of benchmarks that failed."""
    folder = Path(__file__).parent
    ended = [
        subprocess.run([sys.executable, folder / script, *sys.argv[1:]], check=False).returncode for script in _SCRIPTS
    ]
    return sum(code != 0 for code in ended)


if __name__ == "__main__":
    sys.exit(main())
