"""Routers whose routes an application uses as they are.

FastAPI makes every route of an included router anew for each application, within its first request. These routes have
from the start what the application would add.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from fastapi.params import Depends as Dependency

from backstay.server.unknown_parameters import refuse_unknown_parameters


class Router(APIRouter):
    """A router whose routes refuse unknown parameters and have their function's name in OpenAPI.

    Args:
        dependencies: Those of all its routes.
        options: Like those of `APIRouter`.
    """

    def __init__(self, *, dependencies: Sequence[Dependency] = (), **options: Any) -> None:
        super().__init__(
            dependencies=[Depends(refuse_unknown_parameters), *dependencies],
            generate_unique_id_function=lambda route: route.name,
            **options,
        )

    def add_to(self, app: FastAPI) -> None:
        """Let an application use its routes, after those that it has."""
        app.router.routes.extend(self.routes)
