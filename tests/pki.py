"""The authorities of the test world: this file makes root, issuing CA, time-stamp authority and OCSP responder anew,
and serves their certificates, CRLs, OCSP answers and time-stamps over HTTP on the loopback (certomancer).

- No key lies in the repository, and every service answers at the time of the world's clock.
- Certificates are issued from PKCS#10 requests, so the holder's key may lie in a token.
- A service can be taken away, answered for, and counted; its answer can be lost on the way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from socketserver import ThreadingMixIn
from types import MappingProxyType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import asn1crypto.cms
import asn1crypto.tsp
import certomancer.default_plugins  # noqa: F401  (registers the extensions used below)
from certomancer.config_utils import SearchDir
from certomancer.integrations.animator import Animator, AnimatorArchStore
from certomancer.registry import ArchLabel, CertLabel, PKIArchitecture
from certomancer.registry.entities import EntityRegistry
from certomancer.registry.keys import KeySet
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from signing.trust.anchors import Anchor, TrustSnapshot

Clock = Callable[[], datetime]
Answer = Callable[[bytes], tuple[str, bytes]]  # the request's body in, status line and body out

ARCH = ArchLabel("world")
DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"  # RFC 9336


def away(_: bytes) -> tuple[str, bytes]:
    """The answer of a service that is not there."""
    return "503 Service Unavailable", b""


def _extension(name: str, schema: str, params: object, *, critical: bool = False) -> dict[str, object]:
    return {"id": name, "critical": critical, "smart-value": {"schema": schema, "params": params}}


def _usage(*usages: str) -> dict[str, object]:
    return _extension("key_usage", "key-usage", list(usages), critical=True)


def _certificate(issuer: str, years: tuple[int, int], *extensions: dict[str, object]) -> dict[str, Any]:
    return {"issuer": issuer, "validity": _validity(years), "extensions": list(extensions)}


def _validity(years: tuple[int, int]) -> dict[str, str]:
    first, last = (f"{year}-01-01T00:00:00+0000" for year in years)
    return {"valid-from": first, "valid-to": last}


_CA = (
    {"id": "basic_constraints", "critical": True, "value": {"ca": True}},
    _usage("key_cert_sign", "crl_sign"),
)
_ROOT_CRL = _extension("crl_distribution_points", "crl-dist-url", {"crl-repo-names": ["root"]})
_CRL = _extension("crl_distribution_points", "crl-dist-url", {"crl-repo-names": ["issuing"]})
_AIA = _extension(
    "authority_information_access",
    "aia-urls",
    {"ocsp-responder-names": ["issuing"], "ca-issuer-links": [{"repo": "issuing"}]},
)

_AUTHORITIES = {
    "root": _certificate("root", (2015, 2055), *_CA),
    "issuing": _certificate("root", (2015, 2050), *_CA, _ROOT_CRL),
    "responder": _certificate(
        "issuing",
        (2015, 2050),
        _usage("digital_signature"),
        {"id": "extended_key_usage", "value": ["ocsp_signing"]},
        {"id": "ocsp_no_check"},
    ),
    "tsa": _certificate(
        "root",
        (2015, 2050),
        _usage("digital_signature"),
        {"id": "extended_key_usage", "critical": True, "value": ["time_stamping"]},
        _ROOT_CRL,
    ),
}
_NAMES = {
    "root": "World Root CA",
    "issuing": "World Issuing CA",
    "responder": "World OCSP",
    "tsa": "World TSA",
}
_SERVICES = {
    "ocsp": {"issuing": {"for-issuer": "issuing", "responder-cert": "responder"}},
    "crl-repo": {
        "root": {"for-issuer": "root", "simulated-update-schedule": "P30D"},
        "issuing": {"for-issuer": "issuing", "simulated-update-schedule": "PT1H"},
    },
    "cert-repo": {"issuing": {"for-issuer": "issuing", "publish-issued-certs": True}},
}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Pki:
    """Use it as a context: it serves from entering to leaving."""

    def __init__(
        self, folder: Path, clock: Clock, lives: Mapping[str, tuple[int, int]] = MappingProxyType({})
    ) -> None:
        """`lives`: first and last year of an authority's certificate, where they are to be other than usual."""
        self._folder, self.clock = folder, clock
        self._certificates = {name: dict(one) for name, one in _AUTHORITIES.items()}
        for name, years in lives.items():
            self._certificates[name]["validity"] = _validity(years)
        self._stamps_by = "tsa"
        self._entities: dict[str, dict[str, str]] = {
            label: {"country-name": "VN", "organization-name": "Test World", "common-name": name}
            for label, name in _NAMES.items()
        }
        self._keys: dict[str, dict[str, object]] = {}
        self._issued: dict[CertLabel, object] = {}  # what was issued once stays as it is
        self._answers: dict[str, Answer] = {}
        self._crowd: Callable[[], Sequence[bytes]] | None = None
        self._lock = threading.Lock()
        self.asked: Counter[str] = Counter()  # per service: "ocsp", "crls", "certs", "tsa"
        self.stamps: list[bytes] = []  # the answers that the time-stamp authority gave
        self._lost: set[int] = set()
        for name in _AUTHORITIES:
            self._write_key(name)
        self._server = _Server(("127.0.0.1", 0), _Quiet)
        self._server.set_app(self._application)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._build()

    def __enter__(self) -> Pki:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def tsa_url(self) -> str:
        return f"{self.address}/{ARCH.value}/tsa/tsa"

    def certificate(self, label: str) -> bytes:
        """DER of an authority ("root", "issuing", "tsa", "responder") or of what was issued."""
        with self._lock:
            return bytes(self._arch.get_cert(CertLabel(label)).dump())

    @property
    def chain(self) -> tuple[bytes, ...]:
        """Of everything that is issued: the issuing CA, then the root."""
        return self.certificate("issuing"), self.certificate("root")

    @property
    def trust(self) -> TrustSnapshot:
        return TrustSnapshot((Anchor(self.certificate("root"), provenance="the test world"),))

    def issue(
        self,
        label: str,
        request: bytes,
        *,
        years: tuple[int, int] = (2020, 2040),
        purposes: Iterable[str] = (DOCUMENT_SIGNING, "email_protection"),
    ) -> bytes:
        """Certificate (DER) for a PKCS#10 request (DER); its subject is the request's."""
        wanted = x509.load_der_x509_csr(request)
        assert wanted.is_signature_valid
        self._issue(label, wanted.subject, wanted.public_key(), (years, tuple(purposes)))
        return self.certificate(label)

    def person(self, label: str, *, years: tuple[int, int] = (2020, 2040)) -> rsa.RSAPrivateKey:
        """A key outside of any token with a certificate of this label, for tests that sign by themselves."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, label)])
        self._issue(label, name, key.public_key(), (years, (DOCUMENT_SIGNING,)))
        return key

    def revoke(self, label: str, since: datetime, reason: str = "key_compromise") -> None:
        """OCSP tells it at once, the CRL from the next full hour on."""
        with self._lock:
            when = since.replace(microsecond=0).isoformat()
            self._certificates[label]["revocation"] = {"revoked-since": when, "reason": reason}
            self._build()

    def succeed_tsa(self, label: str, years: tuple[int, int]) -> None:
        """From now on the time-stamp authority signs with another key and certificate."""
        self._write_key(label)
        with self._lock:
            self._entities[label] = self._entities["tsa"] | {"common-name": label}
            self._certificates[label] = dict(self._certificates["tsa"]) | {"validity": _validity(years)}
            self._stamps_by = label
            self._build()

    @contextmanager
    def revoked(self, label: str, since: datetime) -> Iterator[None]:
        """In the block the certificate is revoked."""
        self.revoke(label, since)
        try:
            yield
        finally:
            with self._lock:
                del self._certificates[label]["revocation"]
                self._build()

    @contextmanager
    def answering(self, service: str, answer: Answer = away) -> Iterator[None]:
        """In the block "tsa", "ocsp", "crls" or "certs" answers so."""
        self._answers[service] = answer
        try:
            yield
        finally:
            del self._answers[service]

    @contextmanager
    def losing(self, *stamps: int) -> Iterator[None]:
        """In the block these answers of the time-stamp authority, counted from now, are lost on their way."""
        self._lost = {len(self.stamps) + one for one in stamps}
        try:
            yield
        finally:
            self._lost = set()

    @contextmanager
    def crowded(self, certificates: Callable[[], Sequence[bytes]]) -> Iterator[None]:
        """In the block each time-stamp token carries these certificates (DER) besides its own."""
        self._crowd = certificates
        try:
            yield
        finally:
            self._crowd = None

    def _issue(self, label: str, subject: x509.Name, key: Any, terms: tuple[tuple[int, int], Any]) -> None:
        years, purposes = terms
        with self._lock:
            assert label not in self._certificates, f"{label} has a certificate"
            path = self._folder / f"{label}.pem"
            path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
            self._keys[label] = {"path": str(path), "public-only": True}
            self._entities[label] = {one.oid.dotted_string: str(one.value) for one in subject}
            self._certificates[label] = _certificate(
                "issuing",
                years,
                _usage("digital_signature", "non_repudiation"),
                {"id": "extended_key_usage", "value": list(purposes)},
                _CRL,
                _AIA,
            )
            self._build()

    def _write_key(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self._folder / f"{name}.pem"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._keys[name] = {"path": str(path)}

    def _build(self) -> None:
        keys = KeySet({"keys": self._keys}, SearchDir(str(self._folder)))
        self._arch = PKIArchitecture(
            ARCH,
            keys,
            EntityRegistry(self._entities),  # type: ignore[no-untyped-call]
            self._certificates,
            _SERVICES | {"time-stamping": {"tsa": {"signing-cert": self._stamps_by}}},
            self.address,
            cert_cache=self._issued,
        )
        for label in self._certificates:
            self._arch.get_cert(CertLabel(label))
        self._animator = Animator(AnimatorArchStore({ARCH: self._arch}), with_web_ui=False)

    def _application(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        service = environ["PATH_INFO"].split("/")[2:3] or [""]
        self.asked[service[0]] += 1
        if answer := self._answers.get(service[0]):
            status, body = answer(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
            start(status, [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
            return [body]
        environ["HTTP_X_CERTOMANCER_FAKE_TIME"] = self.clock().replace(microsecond=0).isoformat()
        told: list[Any] = []
        with self._lock:
            body = b"".join(self._animator(environ, lambda *head: told.extend(head)))
        if service[0] == "tsa":
            body = _with_certificates(body, self._crowd()) if self._crowd else body
            self.stamps.append(body)
            if len(self.stamps) - 1 in self._lost:
                start("502 Bad Gateway", [("Content-Length", "0")])
                return []
        start(
            told[0],
            [one for one in told[1] if one[0] != "Content-Length"] + [("Content-Length", str(len(body)))],
        )
        return [body]


def _with_certificates(response: bytes, more: Sequence[bytes]) -> bytes:
    """A TimeStampResp whose token carries them too: they are not signed, so that it holds as before."""
    answer = asn1crypto.tsp.TimeStampResp.load(response)
    certificates = answer["time_stamp_token"]["content"]["certificates"]
    for one in more:
        certificates.append(asn1crypto.cms.CertificateChoices.load(one))
    return bytes(answer.dump(force=True))
