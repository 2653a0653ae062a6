"""Reports of verification, signed by the service's key for reports (K1): this file asks that key.

- The key signs what the service says of somebody's file, never the file: its purpose keeps it from documents.
- A report is made for whoever asks and kept by nobody: like a time-stamp, it is never asked for again under the same
  number, a later one is another.
- Where the service has no such key, or it is away, the report is given without a signature: what it says is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from hsm.key import KeyUnavailable, KeyVault, NoSuchKey, Purpose, Signed, SigningKey, SigningOrder
from signing import cades, cms, pades
from signing.profile import Level
from signing.wishes import CannotSign, Signer, Wish
from storage.identifiers import uuid7
from storage.schema import SERVICE

LASTS = timedelta(minutes=5)  # from the bytes to be signed to their signature


class NotSigned(Exception):
    """There is no key for reports, or it does not sign now."""


@dataclass(frozen=True)
class ReportSigning:
    keys: KeyVault
    clock: Callable[[], datetime]

    async def key(self) -> SigningKey:
        """Raises NotSigned."""
        try:
            found = await self.keys.descriptions()
            # The service's own: it signs on nobody's behalf.
            ours = (one for one in found if one.purpose is Purpose.REPORTS and one.agency == SERVICE)
            name = next((one.name for one in ours if one.certificate), None)
            if name is None:
                raise NotSigned("no key for reports")
            return await self.keys.open(name)
        except (KeyUnavailable, NoSuchKey) as away:
            raise NotSigned(str(away)) from away

    async def detached(self, key: SigningKey, content: bytes) -> bytes:
        """DER of a CAdES signature over the content. Raises NotSigned."""
        one, now = key.description, self.clock()
        template = cms.template(one.certificate, one.chain, one.mechanisms[0])
        digest = hashlib.new(one.mechanisms[0].hash_name, content).digest()
        to_sign = cades.to_sign(template, digest, now)
        return template.signed_data(to_sign, await self._signed(key, to_sign, now))

    async def within(self, key: SigningKey, page: bytes) -> bytes:
        """A PDF of our own with a PAdES signature, invisible. Raises NotSigned."""
        one, now = key.description, self.clock()
        with tempfile.TemporaryDirectory() as folder:
            source, out = Path(folder) / "report.pdf", Path(folder) / "signed.pdf"
            source.write_bytes(page)
            signer = Signer(
                certificate=one.certificate, chain=one.chain, mechanism=one.mechanisms[0], key=one.name,
                agency=one.agency, person=SERVICE, request=uuid7(now), expires=now + LASTS,
            )  # fmt: skip
            try:
                prepared = await asyncio.to_thread(
                    pades.prepare, source, out, wish=Wish(Level.B_B, claimed_time=now), signer=signer
                )
                signature = await self._signed(key, prepared.to_sign, now)
                await asyncio.to_thread(pades.complete, prepared, out, signature=signature)
            except (CannotSign, pades.AnswerDoesNotFit) as wrong:
                raise NotSigned(str(wrong)) from wrong
            return out.read_bytes()

    async def _signed(self, key: SigningKey, to_sign: bytes, now: datetime) -> bytes:
        number, one = uuid7(now), key.description
        order = SigningOrder(
            to_sign=to_sign, mechanism=one.mechanisms[0], intent=number, lease=0, request=number, agency=one.agency,
            person=SERVICE,
        )  # fmt: skip
        try:
            (result,) = await key.sign([order])
        except KeyUnavailable as away:
            raise NotSigned(str(away)) from away
        if not isinstance(result, Signed):
            raise NotSigned(f"the key refused: {getattr(result, 'reason', 'somebody must release it')}")
        return result.signature
