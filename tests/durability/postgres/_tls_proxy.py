"""TLS in front of a PostgreSQL server that has none, with a self-signed certificate."""

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from support.harness.requirements import program


class Encrypted:
    """TLS proxy on a port of its own; its certificate is for `name`."""

    def __init__(self, url: str, folder: Path, *, name: str = "localhost", breaks: bool = False) -> None:
        """Start it; with `breaks`, each connection ends where its encryption would begin."""
        address = urlsplit(url)
        self._server = (str(address.hostname), address.port or 5432)
        self._breaks = breaks
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-nodes", "-keyout", str(key), "-out", str(self.certificate), "-days", "2"]
        command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
        subprocess.run(command, check=True, capture_output=True)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        location = f"{address.username}:{address.password}@localhost:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(address._replace(netloc=location, query="gssencmode=disable&hostaddr=127.0.0.1"))
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> "Encrypted":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            client.recv(8)  # the client asks whether there is encryption
            client.sendall(b"S")
            if self._breaks:
                return
            with (
                self._context.wrap_socket(client, server_side=True) as secret,
                socket.create_connection(self._server) as server,
            ):
                threading.Thread(target=_pass_on, args=(server, secret), daemon=True).start()
                _pass_on(secret, server)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while said := source.recv(65_536):
            target.sendall(said)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
