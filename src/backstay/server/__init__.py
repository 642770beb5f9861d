"""The HTTP API: `create_app` makes it, `running` runs it within another application."""

from backstay.server.app import create_app, running
from backstay.server.settings import ServerSettings

__all__ = ["ServerSettings", "create_app", "running"]
