"""The web app: its pages, and the scripts and styles for them and for other sites."""

from fastapi import FastAPI

from backstay.server.web import (
    backups,
    batches,
    conversations,
    edits,
    home,
    reading,
    regenerations,
    reviews,
    revisions,
    static_files,
)
from backstay.server.web.errors import page_of_problem
from backstay.server.web.pending_uploads import PendingUploads


def install(app: FastAPI) -> None:
    """Add the pages to an application."""
    state = app.state.app_state
    settings = state.settings
    app.state.pending_uploads = PendingUploads(
        state.files, max_bytes=settings.upload_bytes, max_owners=1 if state.local is not None else settings.max_uploads
    )
    app.state.page_of_problem = page_of_problem
    pages = (home, static_files, batches, revisions, conversations, reading, edits, regenerations, reviews, backups)
    for module in pages:
        module.router.add_to(app)
