"""PAdES (ETSI EN 319 142-1): this file prepares a PDF for one signature, and puts the signature in when it comes.

- Only an incremental update is written: the file as it came is a prefix of the signed one, and earlier signatures stand.
- What speaks against signing is found in `prepare`, before any key is touched, and told by its true reason.
- The hole fits what is to come, with no pages of zeros behind it (V10).
- `complete` looks first: at the signature under the prepared certificate, and at the file, byte by byte.
"""

from __future__ import annotations

from contextlib import closing
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from hsm.key import Mechanism
from signing import cms
from signing.appearance import Mark, MarkRefused
from signing.layout import lay_out
from signing.pdf import fields, holes, obstacles, seeds
from signing.pdf.form import Field
from signing.pdf.form import fields as all_fields
from signing.pdf.opening import NotOpened, Opened, open_for_update
from signing.pdf.second_look import refuse_other_pages
from signing.pdf.update import Update
from signing.prepared import PreparedSignature
from signing.profile import Level
from signing.wishes import CannotSign, Signer, Unsignable, Wish

__all__ = [
    "AnswerDoesNotFit",
    "CannotSign",
    "Mark",
    "NotThePreparedFile",
    "Signer",
    "Unsignable",
    "Wish",
    "check_answer",
    "complete",
    "prepare",
]

LONGEST_WORDS = 1000  # characters of a reason or a location
TOKEN_MARGIN = 256  # bytes beside the largest time-stamp that was seen


class AnswerDoesNotFit(Exception):
    """The signature is not the certificate's over the prepared bytes, or does not fit into the hole."""


class NotThePreparedFile(Exception):
    """The file's bytes are not those that were prepared."""


def prepare(
    source: Path,
    out: Path,
    *,
    wish: Wish,
    signer: Signer,
    password: str | None = None,
    timestamp_room: int = 0,
) -> PreparedSignature:
    """Writes `source` with a hole for the signature to `out`. `timestamp_room`: bytes of the largest time-stamp token
    that may come. Raises CannotSign."""
    # 1. What the signature holds, and how much room it needs.
    template = cms.template(signer.certificate, signer.chain, signer.mechanism)
    room = template.size(timestamp_room + TOKEN_MARGIN if timestamp_room else 0)
    try:
        # 2. Is the file fit to be signed at all, and as it is wished?
        with closing(_opened(source, password, wish)) as opened:
            known = list(all_fields(opened.pdf))
            field = _chosen(opened, known, wish, signer)
            # 3. The update: signature, field, mark, form.
            update = Update(opened, signer.request.bytes)
            lay_out(update, field, wish, room)
            added = update.to_bytes()
        # 4. A copy of the file with it, and the digest over all but the hole.
        written = holes.write(source, out, added, room=room, hash_name=signer.mechanism.hash_name)
        if opened.previous is None:
            refuse_other_pages(source, out, password)
    except (NotOpened, MarkRefused) as refused:
        reason = refused.reason if isinstance(refused, NotOpened) else refused.code
        raise CannotSign(Unsignable(reason), refused.detail) from refused
    except MemoryError as bomb:
        raise CannotSign(Unsignable.TOO_COMPLEX, "memory") from bomb
    # 5. All that is needed to put the signature in, however much later.
    return PreparedSignature(
        format="PAdES",
        to_sign=template.to_sign(written.covered),
        mechanism=signer.mechanism,
        certificate=signer.certificate,
        chain=signer.chain,
        document_digest=written.covered,
        key=signer.key,
        agency=signer.agency,
        person=signer.person,
        request=signer.request,
        expires=signer.expires,
        level=wish.level,
        field=field if isinstance(field, str) else field.name,
        hole=written.hole,
        file_size=written.size,
        file_sha256=written.sha256,
        original_size=written.size - len(added),
        file_state=written.state,
    )


def complete(
    prepared: PreparedSignature, file: Path, *, signature: bytes, timestamp: bytes | None = None
) -> None:
    """Fills the hole of the prepared file in place; `timestamp` is a verified DER token over the signature's value.
    Raises AnswerDoesNotFit, NotThePreparedFile; the file is unchanged then."""
    check_answer(prepared, signature)
    template = cms.template(prepared.certificate, prepared.chain, prepared.mechanism)
    der = template.signed_data(prepared.to_sign, signature, timestamp)
    if len(der) > prepared.hole.room:
        raise AnswerDoesNotFit(f"{len(der)} bytes do not fit into {prepared.hole.room}")
    with file.open("r+b") as opened:
        # The judge reads every byte again in any case; this spares the good ones a whole read before it.
        if holes.state_of(opened) != prepared.file_state and holes.sha256_of(opened) != prepared.file_sha256:
            raise NotThePreparedFile("other bytes than those that were prepared")
        holes.fill(opened, prepared.hole, der)


def check_answer(prepared: PreparedSignature, signature: bytes) -> None:
    """Whether this is the signature of the prepared certificate's key over the prepared bytes. Raises
    AnswerDoesNotFit."""
    try:
        key = _public_key(prepared.certificate)
        hashed = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
        chosen = hashed[prepared.mechanism.hash_name]
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, prepared.to_sign, ec.ECDSA(chosen))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, prepared.to_sign, _padding(prepared.mechanism, chosen), chosen)
        else:
            raise AnswerDoesNotFit("the certificate's key is of another kind")
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as wrong:
        raise AnswerDoesNotFit(
            "not the signature of the prepared certificate over the prepared bytes"
        ) from wrong


@lru_cache(maxsize=256)
def _public_key(certificate: bytes) -> CertificatePublicKeyTypes:
    return x509.load_der_x509_certificate(certificate).public_key()


def _padding(mechanism: Mechanism, hashed: hashes.HashAlgorithm) -> padding.PSS | padding.PKCS1v15:
    if mechanism.value.startswith("rsa-pss"):
        return padding.PSS(padding.MGF1(hashed), hashed.digest_size)
    return padding.PKCS1v15()


def _opened(source: Path, password: str | None, wish: Wish) -> Opened:
    opened = open_for_update(source, password)
    try:
        obstacles.refuse_xfa(opened)
        if not wish.allow_javascript:
            obstacles.refuse_javascript(opened)
        if not wish.allow_embedded_files:
            obstacles.refuse_embedded_files(opened)
        for words in (wish.reason, wish.location):
            if words is not None and len(words) > LONGEST_WORDS:
                raise NotOpened("words-too-long")
        return opened
    except BaseException:
        opened.close()
        raise


def _chosen(opened: Opened, known: list[Field], wish: Wish, signer: Signer) -> Field | str:
    """The field, after what earlier signatures and the field itself say."""
    signed = any(field.signature is not None for field in known)
    if signed and opened.previous is None:
        # A whole table would take the file's revisions from under the signatures that stand on them.
        raise NotOpened("damaged-cross-references", "and the file is signed already")
    if signed and wish.certify is not None:
        raise NotOpened("certification-not-first")
    obstacles.refuse_certified(opened, known)
    field = fields.choose(known, wish.field)
    obstacles.refuse_locked(known, field if isinstance(field, str) else field.name)
    if isinstance(field, Field):
        offer = seeds.Offer(
            signer.mechanism.hash_name,
            wish.reason,
            wish.certify,
            wish.level >= Level.B_T,
            signer.certificate,
            signer.chain,
        )
        seeds.refuse_unmet(field, offer)
    return field
