"""Paths of requests."""

from starlette.types import Scope

OPERATIONS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths for orchestrators and Prometheus, which answer under any host name."""
SIGN_IN = "/sign-in"
"""The path of the form by which a page of another site signs its user in."""


def path_of(scope: Scope) -> str:
    """Return the path of a request relative to the application, which may be mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path
