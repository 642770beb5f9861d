"""Environment variables that begin with BACKSTAY_, and which of them mean something."""

from collections.abc import Mapping

from backstay.suggestions import nearest_name

_PREFIX = "BACKSTAY_"
KNOWN = frozenset(
    _PREFIX + name
    for name in (
        "ALLOWED_HOSTS",
        "ALLOWED_KEYS",
        "AUTH",
        "CORS_ORIGINS",
        "DATABASE_URL",
        "HOST",
        "JWKS_URL",
        "JWT_AUDIENCE",
        "JWT_ISSUER",
        "JWT_SECRET",
        "METRICS_TOKEN",
        "OWNER",
        "PATIENCE_SECONDS",
        "PORT",
        "RPM",
        "SCHEMA",
        "TPM",
        "TRACEBACK",
    )
)
"""What settings are read from. Listed here since a command loads neither the server's settings nor its packages."""
_ELSEWHERE = frozenset(
    _PREFIX + name
    for name in ("CONFIG", "FAILURE_RECORD", "POSTGRES_PASSWORD", "SEED_TASKS", "TEST_DATABASE_URL", "TORTURE")
)
"""What compose.yaml and the tests of this project read."""


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the names of variables that begin with BACKSTAY_, are set, and mean nothing."""
    ours = (name for name, value in environ.items() if name.startswith(_PREFIX) and value)
    return sorted(name for name in ours if name not in KNOWN and name not in _ELSEWHERE)


def nearest_variable(name: str) -> str | None:
    """Return the variable that was probably meant; None when none is near."""
    near = nearest_name(name.removeprefix(_PREFIX), [one.removeprefix(_PREFIX) for one in KNOWN])
    return _PREFIX + near if near is not None else None
