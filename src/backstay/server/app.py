"""The application: its construction and its lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from backstay.app import Backstay
from backstay.errors import SettingsError
from backstay.generate.allowlist import AllowedEntry
from backstay.generate.key_source import KeySources
from backstay.generate.processor_loader import ProcessorLoader
from backstay.server import form_limits, problems
from backstay.server.api import (
    backup_files,
    backups,
    batch_detail,
    batch_uploads,
    batches,
    conversations,
    deletes,
    edits,
    health_and_metrics,
    recipes,
    regenerations,
    reviews,
    revisions,
    sessions,
)
from backstay.server.auth.authentication import AuthenticationMiddleware
from backstay.server.auth.json_web_tokens import JsonWebTokens
from backstay.server.auth.jwks import JwksKeys
from backstay.server.auth.local_token import MIN_TOKEN_CHARACTERS, LocalToken
from backstay.server.background_backups import BackgroundBackups
from backstay.server.disconnects import DisconnectMiddleware
from backstay.server.events.hub import Hub
from backstay.server.index_filler import IndexFiller
from backstay.server.metrics import Metrics
from backstay.server.request_limits import AllowedHosts, BodyLimit, ConcurrencyLimit
from backstay.server.request_middleware import RequestMiddleware
from backstay.server.resume_permission import ResumePermission
from backstay.server.scheduled_cleanup import CleanupJob
from backstay.server.settings import ServerSettings
from backstay.server.state import AppState
from backstay.server.supervisor import Supervisor
from backstay.server.temporary_folder import TemporaryFolder, remove_orphaned_folders
from backstay.server.web import pages
from backstay.settings import Settings

_ABOUT = "Durable batches of training conversations, and guarded deletes."


def create_app(
    settings: Settings,
    server_settings: ServerSettings | None = None,
    *,
    token: str | None = None,
    create: bool = True,
    is_standalone: bool = False,
) -> FastAPI:
    """Return the API as an application that can run alone or be mounted in another one.

    If it is mounted, the lifespan of the outer application must enter it: `async with running(app): …`.

    Args:
        settings: Settings of the library; `backstay.settings.load` loads them.
        server_settings: Settings of the server; `backstay.server.settings.load` loads them.
        token: The local token, if no JSON Web Tokens are configured. It signs everyone in as one owner.
        create: Create the database if it is missing.
        is_standalone: Whether the application itself listens at the address in `server_settings`, rather than one
            that mounts it.

    Raises:
        SettingsError: there is no way to sign in, or more than one.
        SettingsError, RecipeError, ProcessorUnusable: a recipe or processor in the settings cannot be used.
    """
    server_settings = (server_settings or ServerSettings()).check()
    _check_sign_in(server_settings, token)
    allowed = server_settings.allowlist()
    for name in allowed.processors:
        ProcessorLoader().resolve(name)
    keys = KeySources.from_settings(settings, is_server=True)
    backstay = Backstay(
        settings,
        create=create,
        allowed=allowed,
        keys=keys,
        read_seconds=server_settings.read_seconds,
        concurrency=server_settings.concurrency,
    )
    permission = ResumePermission(
        settings=settings, server_settings=server_settings, allowed=allowed, is_standalone=is_standalone
    )
    state = _create_state(backstay, server_settings, allowed, permission, token)
    app = FastAPI(
        title="Backstay",
        version=version("backstay"),
        description=_ABOUT,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        form_limits={
            "max_files": 1,
            "max_fields": form_limits.MAX_FIELDS,
            "max_part_size": form_limits.MAX_FIELD_BYTES,
        },
    )
    app.state.app_state = state
    problems.install(app)
    pages.install(app)
    # `batch_detail` comes after the other routes of batches, because its routes match any job id; `conversations`, too.
    for module in (
        health_and_metrics,
        sessions,
        recipes,
        batches,
        batch_uploads,
        revisions,
        batch_detail,
        deletes,
        reviews,
        edits,
        regenerations,
        conversations,
        backup_files,
        backups,
    ):
        module.router.add_to(app)
    _add_middleware(app, state)
    return app


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Open the library and run the server's scheduled work until the context exits; then stop all jobs gracefully.

    Raises:
        StorageError: the database cannot be used.
    """
    state: AppState = app.state.app_state
    # What was started last is stopped first, even if a later start or an earlier stop fails.
    async with AsyncExitStack() as stack:
        stack.callback(state.supervisor.reopen)
        stack.callback(state.files.close)
        stack.push_async_callback(state.authenticator.close)
        await stack.enter_async_context(state.backstay)
        await asyncio.to_thread(remove_orphaned_folders)
        for owner in await state.backstay.owners():
            await state.backstay.for_owner(owner).backups.remove_leftovers()
        stack.push_async_callback(state.background_backups.stop)
        stack.push_async_callback(state.supervisor.stop)
        stack.push_async_callback(state.hub.stop)
        cleanup = CleanupJob(backstay=state.backstay, metrics=state.metrics, cron=state.settings.cleanup)
        stack.callback(cleanup.stop)
        cleanup.start()
        filler = IndexFiller(state.backstay)
        stack.push_async_callback(filler.stop)
        filler.start()
        if state.settings.automatic_resume:
            state.supervisor.resume_interrupted()
        yield


def _check_sign_in(settings: ServerSettings, token: str | None) -> None:
    """Check that exactly one way to sign in is configured. Raises SettingsError if not."""
    if settings.effective_auth == "token" and len(token or "") < MIN_TOKEN_CHARACTERS:
        raise SettingsError(
            f"No way to sign in is configured: pass create_app a `token` of at least {MIN_TOKEN_CHARACTERS} "
            "characters, or set SUPABASE_URL, or BACKSTAY_JWT_SECRET with BACKSTAY_JWT_ISSUER, to accept JSON Web "
            "Tokens",
            setting="auth",
        )
    if settings.effective_auth == "jwt" and token is not None:
        raise SettingsError(
            "create_app got a `token`, but JSON Web Tokens are configured too: omit the token, or set "
            "BACKSTAY_AUTH=token",
            setting="auth",
        )


def _create_state(
    backstay: Backstay, settings: ServerSettings, allowed: AllowedEntry, permission: ResumePermission, token: str | None
) -> AppState:
    metrics = Metrics()
    local = LocalToken(owner=backstay.settings.owner, port=settings.port, token=token) if token is not None else None
    supervisor = Supervisor(
        backstay=backstay,
        permission=permission,
        metrics=metrics,
        slots=_concurrency_limit(settings, "running jobs", "max_jobs"),
        grace_seconds=settings.grace_seconds,
    )
    hub = Hub(
        slots=_concurrency_limit(settings, "event streams", "max_listeners"),
        heartbeat_seconds=settings.heartbeat_seconds,
        idle_seconds=settings.idle_seconds,
    )
    state = AppState(
        settings=settings,
        backstay=backstay,
        authenticator=local or _tokens(settings, backstay),
        local=local,
        allowed=allowed,
        permission=permission,
        supervisor=supervisor,
        background_backups=BackgroundBackups(),
        hub=hub,
        metrics=metrics,
        downloads=_concurrency_limit(settings, "downloads", "max_downloads"),
        uploads=_concurrency_limit(settings, "uploads", "max_uploads"),
        files=TemporaryFolder(),
    )
    metrics.watch(
        jobs=lambda: supervisor.job_count,
        listeners=lambda: hub.listener_count,
        downloads=lambda: state.downloads.taken,
        uploads=lambda: state.uploads.taken,
    )
    return state


def _concurrency_limit(settings: ServerSettings, counted: str, setting: str) -> ConcurrencyLimit:
    return ConcurrencyLimit(counted, setting, getattr(settings, setting), share=settings.limit_share)


def _tokens(settings: ServerSettings, backstay: Backstay) -> JsonWebTokens:
    return JsonWebTokens(
        issuer=str(settings.effective_issuer),
        audience=settings.audience,
        keys=JwksKeys(settings.effective_jwks_url) if settings.effective_jwks_url is not None else None,
        secret=settings.jwt_secret,
        sessions=backstay.sessions(_realm(settings)),
        same_site=settings.cookie_same_site,
        trusted_origins=settings.cors_origins,
    )


def _realm(settings: ServerSettings) -> str:
    """Return what a session depends on: with another issuer, audience or secret, it ends."""
    return "\0".join((str(settings.effective_issuer), settings.audience, settings.jwt_secret or ""))


def _add_middleware(app: FastAPI, state: AppState) -> None:
    """Add the middleware. The middleware that is added last sees a request first."""
    settings = state.settings
    app.add_middleware(DisconnectMiddleware)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.body_bytes,
        max_upload_bytes=settings.upload_bytes,
        idle_seconds=settings.idle_seconds,
        uploads=state.uploads,
        bytes_held=_concurrency_limit(settings, "bytes of requests", "bodies_bytes"),
    )
    app.add_middleware(AuthenticationMiddleware, authenticator=state.authenticator)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", "Range"],
            expose_headers=(
                "Location",
                "Content-Disposition",
                "Accept-Ranges",
                "Content-Range",
                "ETag",
                "X-Request-Id",
                "Retry-After",
            ),
            max_age=600,
        )
    app.add_middleware(AllowedHosts, names=settings.allowed_hosts, local=state.local is not None)
    app.add_middleware(RequestMiddleware, metrics=state.metrics)
