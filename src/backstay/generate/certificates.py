"""TLS certificates of endpoints: trusted authorities, and explanations of failed verification."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from backstay.errors import SettingsError

# In order of precedence: OpenSSL's own variable, then that of the `requests` library.
_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

# By the error codes of OpenSSL's X509_verify_cert.
_VERIFICATION_ERRORS = {
    9: "its certificate is not valid yet; correct this machine's clock, or have the certificate replaced",
    10: "its certificate has expired; have it renewed",
    **dict.fromkeys((62, 64), "its certificate is for another name; use the name in the certificate in the base URL"),
}
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})


def trusted_tls_context(environ: Mapping[str, str] | None = None) -> ssl.SSLContext | None:
    """Return a context that trusts the authorities that the environment names; None if it names none.

    Raises:
        SettingsError: the file named by a variable cannot be read, or holds no certificate.
    """
    environ = os.environ if environ is None else environ
    for variable in _VARIABLES:
        path = environ.get(variable)
        if not path:
            continue
        context = ssl.create_default_context()
        is_folder = Path(path).is_dir()  # allowed for REQUESTS_CA_BUNDLE
        try:
            context.load_verify_locations(cafile=None if is_folder else path, capath=path if is_folder else None)
        except (OSError, ValueError) as error:
            fault = "holds no certificate that can be read" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise SettingsError(f"The file {path} that {variable} names {fault}", setting=variable) from error
        return context
    return None


def explain_tls_error(error: OSError) -> str:
    """Return why no encrypted connection could be made, and what to do, as a clause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION_ERRORS.get(error.verify_code) or (
            f"its certificate is not trusted ({error.verify_message}); name the file with the certificate of the "
            "authority that signed it in SSL_CERT_FILE or REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return "it does not speak TLS; correct the base URL, which may have to begin with http://"
    reason = (getattr(error, "reason", None) or "the server closed the connection").lower().replace("_", " ")
    return f"no encrypted connection could be made ({reason}); check what the server requires of clients"
