"""The HTTP API: `create_app` creates it, and `running` runs it within another application.

Raises ModuleNotFoundError naming the extra to install, if its packages are missing.
"""

from backstay.optional_packages import is_own_module, packages_missing

try:
    from backstay.server.app import create_app, running
    from backstay.server.settings import ServerSettings
except ModuleNotFoundError as error:
    if is_own_module(error):
        raise
    raise ModuleNotFoundError(packages_missing("backstay.server", "server"), name=error.name) from error

__all__ = ["ServerSettings", "create_app", "running"]
