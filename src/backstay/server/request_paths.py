"""Paths of requests."""

from starlette.types import Scope

OPERATIONS = frozenset(("/healthz", "/readyz", "/metrics"))
"""Paths for orchestrators and Prometheus, which answer under any host name."""


def path_of(scope: Scope) -> str:
    """Return the path of a request relative to the application, which may be mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path
