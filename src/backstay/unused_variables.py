"""Variables that seem to be set for Backstay and have no effect: misspelt ones, and Supabase's."""

from collections.abc import Mapping
from pathlib import Path

from backstay.suggestions import nearest_name

_PREFIX = "BACKSTAY_"
_NAMES = (
    "ALLOWED_HOSTS ALLOWED_KEYS AUTH COOKIE_SAME_SITE CORS_ORIGINS DATABASE_URL HOST JWKS_URL JWT_AUDIENCE "
    "JWT_ISSUER JWT_SECRET METRICS_TOKEN OWNER PATIENCE_SECONDS PORT REVIEWER RPM SAFE_DIRECTORIES SCHEMA "
    "SIGN_IN_URL TPM TRACEBACK"
)
KNOWN = frozenset(_PREFIX + name for name in _NAMES.split())
"""Variables that settings are read from. Repeated here: most commands do not import all the modules that read them."""
UNPREFIXED = ("BACKUP_DIRECTORY", "BACKUP_RETENTION_DAYS", "BACKUP_KEEP_NEWEST")
"""Variables that settings are read from although they lack the prefix."""
_ELSEWHERE = frozenset(
    _PREFIX + name
    for name in ("CONFIG", "FAILURE_RECORD", "POSTGRES_PASSWORD", "SEED_TASKS", "TEST_DATABASE_URL", "TORTURE")
)
"""Variables that compose.yaml and the tests of this project read."""

_SUPABASE = ("NEXT_PUBLIC_SUPABASE_URL", "SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY")
_ENV_FILE = ".env.local"
NAME_SUPABASE = (
    "to use a Supabase project, set BACKSTAY_DATABASE_URL to its connection string, which Connect at the top of the "
    "project's dashboard shows (Transaction pooler); the service role key is not used"
)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the names of set variables that begin with BACKSTAY_ and are unknown."""
    names = (name for name, value in environ.items() if name.startswith(_PREFIX) and value)
    return sorted(name for name in names if name not in KNOWN and name not in _ELSEWHERE)


def nearest_variable(name: str) -> str | None:
    """Return the nearest known variable; None if none is near."""
    by_suffix = {known.removeprefix(_PREFIX): known for known in (*KNOWN, *UNPREFIXED)}
    near = nearest_name(name.removeprefix(_PREFIX), by_suffix)
    return by_suffix[near] if near is not None else None


def supabase_unused(environ: Mapping[str, str], here: Path, library: Path) -> str | None:
    """Return why the library is a local file although a Supabase variable or a `.env.local` suggests another database.

    None if neither does.

    Args:
        environ: The environment.
        here: The directory in which an app may have a file of variables, which is not read.
        library: The file of the library.
    """
    names = [name for name in _SUPABASE if environ.get(name)]
    # Any framework may have such a file, so alone it counts only before the library is first used.
    is_ignored = (here / _ENV_FILE).is_file() and (bool(names) or not library.exists())
    reasons = [f"{' and '.join(names)} {'names' if len(names) == 1 else 'name'} no database"] if names else []
    reasons += [f"{_ENV_FILE} is not read"] if is_ignored else []
    return f"{' and '.join(reasons)}, so the library is {library}" if reasons else None
