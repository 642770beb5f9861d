"""Somebody who issues tokens: an HTTP server with a JWKS that can be down, slow, rotated, or full of rubbish."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.servers.api import ANN, claims


class Issuer:
    """Serves its keys on a port of its own."""

    def __init__(self) -> None:
        self.requests = 0
        self.status = 200
        self.body: bytes | None = None
        self.location: str | None = None
        self._keys: dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] = {}
        self.rotate("first")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                body = issuer.body if issuer.body is not None else issuer.jwks()
                self.send_response(issuer.status)
                if issuer.location is not None:
                    self.send_header("Location", issuer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):  # whoever asked may have lost patience
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/auth/v1/.well-known/jwks.json"

    @property
    def project(self) -> str:
        """What SUPABASE_URL would be."""
        return self.url.partition("/auth/")[0]

    def rotate(self, key_id: str, *, keep: bool = False) -> None:
        """Issue under a new key; the old ones are gone unless they are kept."""
        if not keep:
            self._keys.clear()
        self._keys[key_id] = ec.generate_private_key(ec.SECP256R1())
        self.current = key_id

    def add_rsa(self, key_id: str) -> rsa.RSAPrivateKey:
        self._keys[key_id] = key = rsa.generate_private_key(65537, 2048)
        return key

    def jwks(self) -> bytes:
        keys = []
        for key_id, key in self._keys.items():
            public = key.public_key()
            shown = RSAAlgorithm.to_jwk(public) if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm.to_jwk(public)
            keys.append({**json.loads(shown), "kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys}).encode()

    def public_pem(self, key_id: str) -> bytes:
        return self._keys[key_id].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(self, owner: str = ANN, *, key_id: str | None = None, **changed: Any) -> str:
        key_id = key_id or self.current
        key = self._keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        payload = claims(owner, **{"iss": f"{self.project}/auth/v1", **changed})
        return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": key_id})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
