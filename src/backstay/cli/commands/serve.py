"""`backstay serve`: serve the HTTP API and the pages."""

import os
from typing import Annotated

import typer

from backstay.cli import schemas
from backstay.cli.command import CommandSession, command
from backstay.cli.output import flush
from backstay.cli.variable_warnings import warn_of_supabase
from backstay.errors import SettingsError
from backstay.limits import MAX_PORT
from backstay.optional_packages import is_own_module, packages_missing

_SIGN_IN_AT_APP = (
    "The settings require JSON Web Tokens: the pages open once a page of your app has called signIn. To sign in on "
    "this machine instead: BACKSTAY_AUTH=token backstay serve"
)
_SCRIPTED_ONLY = (
    "Only the built-in scripted writer is available; it calls no model. Name your recipes under [server.recipes] in "
    'backstay.toml, for example: tutor = "tutor.toml"'
)


@command()
def serve(
    session: CommandSession,
    host: Annotated[str | None, typer.Option(metavar="HOST", help="Address to listen on [default: 127.0.0.1].")] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=MAX_PORT, help="Port; 0 for any free one [default: 8717].")
    ] = None,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Replace the token in the address; browsers must then sign in again.")
    ] = False,
) -> None:
    """Serve the HTTP API and the pages until Ctrl-C or SIGTERM.

    Prints an address that signs a browser in on this machine. It stays the same after a restart, because the token
    in it is kept next to the database, or in your state folder for a database on a server.

    For the users of your own app, set SUPABASE_URL, or BACKSTAY_JWT_SECRET and BACKSTAY_JWT_ISSUER: the API then
    takes their tokens, and a page of the app signs them in to the pages.

    When the server stops, running jobs stop gracefully and can be resumed.

    \b
    Examples:
      backstay serve
      backstay serve --port 9000
      backstay serve --new-token
      SUPABASE_URL=https://project.supabase.co backstay serve --host 0.0.0.0
    """
    try:
        from backstay.server import serve as server
        from backstay.server.settings import load
    except ModuleNotFoundError as error:
        if is_own_module(error):
            raise
        message = packages_missing("backstay serve", "server")
        raise SettingsError(message, setting="server", missing=error.name) from error
    out, settings = session.out, session.invocation.settings()
    server_settings = load(host=host, port=port)
    if new_token and server_settings.effective_auth == "jwt":
        raise SettingsError(
            "--new-token replaces the local token, but the settings require JSON Web Tokens; omit it, or set "
            "BACKSTAY_AUTH=token",
            setting="auth",
        )
    warn_of_supabase(settings, os.environ, out)

    def announce(address: schemas.ServeOut) -> None:
        printed = f"{address.url}/?token={address.token}" if address.token is not None else address.url
        out.print_result(lambda: address, printed)
        flush()
        if address.token is None:
            out.note(_SIGN_IN_AT_APP)
        if server_settings.is_scripted_only:
            out.note(_SCRIPTED_ONLY)
        out.note("Press Ctrl-C to stop.")

    server.serve(settings, server_settings, on_listening=announce, new_token=new_token)
