"""The web app: its pages, and the scripts and styles for them and for other sites."""

from fastapi import FastAPI

from backstay.server.web import backups, batches, conversations, home, revisions, static_files
from backstay.server.web.errors import page_of_problem
from backstay.server.web.pending_uploads import PendingUploads


def install(app: FastAPI) -> None:
    """Add the pages to an application; without a local token, only the home page and the static files."""
    app.state.pending_uploads = PendingUploads(
        app.state.app_state.files, max_bytes=app.state.app_state.settings.upload_bytes
    )
    app.state.page_of_problem = page_of_problem
    for module in (home, static_files):
        app.include_router(module.router)
    if app.state.app_state.local is not None:
        for module in (batches, revisions, conversations, backups):
            app.include_router(module.router)
