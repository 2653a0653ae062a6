"""A certification authority for demonstrations: this file makes it anew in each home, issues, revokes, and answers for it.

- Whatever it signs says so: DEMO in every subject, a policy of its own in every certificate (K6).
- Its keys lie in the home as files, which is why nobody may believe it outside of that home.
- Two processes share its folder: who issues, and the server that answers for it. Every file is whole or not there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus

from demonstration import certificates
from demonstration.certificates import Kind, Named
from hsm.key_book import write_whole
from storage.durable import sync_folder

MADE = "authority"  # the folder of its keys; it is there as a whole or not at all
ISSUED, REVOKED, LOCK = "issued", "revoked.json", "authority.lock"
FRESH = timedelta(days=1)  # how long a list or an answer is good for

Clock = Callable[[], datetime]
Which = Literal["root", "issuing"]


class NotIssued(ValueError):
    """The request is no PKCS#10 that its own key signed, or the serial number is none of ours."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


@dataclass
class DemonstrationAuthority:
    """Safe to use from several threads and processes."""

    folder: Path
    address: str
    clock: Clock
    named: dict[Which, Named]
    _revoked: tuple[int, dict[int, tuple[datetime, x509.ReasonFlags]]] = field(default=(-1, {}))

    @staticmethod
    def open(folder: Path, address: str, *, clock: Clock = wall_clock) -> DemonstrationAuthority:
        """Makes it on first use. `address`: of its server, as it stands in every certificate from then on."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _alone(folder):
            if not (folder / MADE).exists():
                _make(folder, address, clock())
        named: dict[Which, Named] = {"root": _load(folder, "root"), "issuing": _load(folder, "issuing")}
        return DemonstrationAuthority(folder, address, clock, named)

    @property
    def root(self) -> bytes:
        """DER, to be believed in this home alone."""
        return self.named["root"].der

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, of everything that is issued: the issuing authority, then the root."""
        return self.named["issuing"].der, self.root

    def issue(self, csr_der: bytes, *, kind: Kind) -> bytes:
        """A certificate (DER) for a PKCS#10 request (DER), five years long. Raises NotIssued."""
        try:
            request = x509.load_der_x509_csr(csr_der)
            sound = request.is_signature_valid
        except (ValueError, TypeError, UnsupportedAlgorithm) as wrong:
            raise NotIssued(str(wrong)[:200]) from wrong
        if not sound:
            raise NotIssued("the request is not signed by its own key")
        made = certificates.of_holder(request, kind, self.named["issuing"], self.address, now=self.clock())
        der = made.public_bytes(Encoding.DER)
        # Durable before it is given out: what the responder does not know would be nobody's.
        (self.folder / ISSUED).mkdir(exist_ok=True, mode=0o700)
        write_whole(self.folder / ISSUED / f"{made.serial_number:x}", der)
        return der

    def revoke(self, serial: int, reason: x509.ReasonFlags = x509.ReasonFlags.key_compromise) -> None:
        """From now on; once is for ever. Raises NotIssued."""
        if not self._knows(serial):
            raise NotIssued(f"{serial:x}")
        with _alone(self.folder):
            known = self._revocations()
            if serial in known:
                return
            entries = {f"{one:x}": [at.isoformat(), why.value] for one, (at, why) in known.items()}
            entries[f"{serial:x}"] = [_second(self.clock()).isoformat(), reason.value]
            write_whole(self.folder / REVOKED, json.dumps(entries).encode())

    def crl(self, of: Which = "issuing") -> bytes:
        """The list (DER, RFC 5280 5) of this moment, good for a day."""
        now = _second(self.clock())
        builder = x509.CertificateRevocationListBuilder(self.named[of].certificate.subject, now, now + FRESH)
        # Numbers must rise (5.2.3), whoever makes the list.
        number = x509.CRLNumber(int(now.timestamp()))
        builder = builder.add_extension(number, critical=False)
        builder = builder.add_extension(certificates.authority_key(self.named[of]), critical=False)
        for serial, (at, reason) in self._revocations().items() if of == "issuing" else ():
            entry = x509.RevokedCertificateBuilder(serial, at)
            builder = builder.add_revoked_certificate(
                entry.add_extension(x509.CRLReason(reason), critical=False).build()
            )
        return builder.sign(self.named[of].key, hashes.SHA256()).public_bytes(Encoding.DER)

    def ocsp(self, request_der: bytes) -> bytes:
        """The answer (DER, RFC 6960) for one certificate, signed by its issuer, with the request's nonce."""
        try:
            request = ocsp.load_der_ocsp_request(request_der)
            hash_algorithm = request.hash_algorithm
            nonces = [one for one in request.extensions if isinstance(one.value, x509.OCSPNonce)]
        except (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm, x509.DuplicateExtension):
            return _unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        issuer = self.named["issuing"]
        if (request.issuer_name_hash, request.issuer_key_hash) != issuer.hashes(hash_algorithm):
            return _unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        now, serial = _second(self.clock()), request.serial_number
        status, since, reason = self._status(serial)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            request.issuer_name_hash, request.issuer_key_hash, serial, hash_algorithm, status, now, now + FRESH,
            since, reason,
        )  # fmt: skip
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        for one in nonces:
            builder = builder.add_extension(one.value, critical=False)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def _status(self, serial: int) -> tuple[OCSPCertStatus, datetime | None, x509.ReasonFlags | None]:
        if not self._knows(serial):
            return OCSPCertStatus.UNKNOWN, None, None
        if serial in (revoked := self._revocations()):
            return OCSPCertStatus.REVOKED, *revoked[serial]
        return OCSPCertStatus.GOOD, None, None

    def _knows(self, serial: int) -> bool:
        return (self.folder / ISSUED / f"{serial:x}").exists()

    def _revocations(self) -> dict[int, tuple[datetime, x509.ReasonFlags]]:
        """As the file says now: the other process may have written it."""
        try:
            mark = (self.folder / REVOKED).stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if self._revoked[0] != mark:
            plain = json.loads((self.folder / REVOKED).read_bytes())
            read = {
                int(serial, 16): (datetime.fromisoformat(at), x509.ReasonFlags(why))
                for serial, (at, why) in plain.items()
            }
            self._revoked = (mark, read)
        return self._revoked[1]


def _make(folder: Path, address: str, now: datetime) -> None:
    """Root and issuing authority, in a folder that gets its name when all of it is there."""
    new = folder / f"{MADE}.new"
    new.mkdir(exist_ok=True, mode=0o700)
    root_key, issuing_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = Named(certificates.of_root(root_key, now=now), root_key)
    issuing = Named(certificates.of_issuing(issuing_key, root, address, now=now), issuing_key)
    for name, one in (("root", root), ("issuing", issuing)):
        write_whole(new / f"{name}.key", one.key_pem())
        write_whole(new / f"{name}.cer", one.der)
    new.rename(folder / MADE)
    sync_folder(folder)


def _load(folder: Path, name: str) -> Named:
    key = load_pem_private_key((folder / MADE / f"{name}.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(type(key).__name__)
    return Named(x509.load_der_x509_certificate((folder / MADE / f"{name}.cer").read_bytes()), key)


def _unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _second(moment: datetime) -> datetime:
    """Certificates, lists and answers count whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with os.fdopen(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
