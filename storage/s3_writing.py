"""Conditional writes to S3: this file sends what minio-py has no public way to send (docs/decisions/conditional-put.md).

- `If-None-Match: *` on PUT and on the completion of a multipart upload: an object under its name is never overwritten.
- The payload's SHA-256 is in the signature (`x-amz-content-sha256`), so that the server refuses what changed on the way.
- At most one part is in memory. The whole's digest is compared with its name before the last request.
- Every request may be sent twice: a lost answer is found out by the condition.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

import urllib3
from minio.credentials.credentials import Credentials
from minio.error import S3Error, ServerError
from minio.signer import sign_v4_s3

PART = 16 << 20  # bytes; 10,000 parts at most: 156 GiB
ONLY_IF_ABSENT = {"If-None-Match": "*"}


class OtherDigest(Exception):
    """What was read is not what its name says. Nothing was written."""


@dataclass(frozen=True)
class S3Address:
    """`host` with its port; `secure` speaks TLS."""

    host: str
    region: str = "us-east-1"
    secure: bool = True

    @staticmethod
    def parse(address: str, region: str) -> S3Address:
        """`https://host[:port]`, `http://host[:port]`; without a scheme TLS is meant. Raises ValueError."""
        parts = urlsplit(address if "://" in address else f"https://{address}")
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.path.strip("/")
            or parts.username
        ):
            raise ValueError(f"not the address of an S3 server: {address}")
        return S3Address(parts.netloc, region, parts.scheme == "https")


@dataclass(frozen=True)
class S3Credentials:
    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return f"S3Credentials({self.access_key!r})"

    @staticmethod
    def read(file: Path) -> S3Credentials:
        """Two lines: access key, secret key. Raises OSError, ValueError."""
        lines = file.read_text().split()
        if len(lines) != 2:
            raise ValueError(f"{file} does not hold two lines: access key, secret key")
        return S3Credentials(*lines)


class S3Writer:
    def __init__(self, address: S3Address, credentials: S3Credentials, http: urllib3.PoolManager) -> None:
        self._address, self._http = address, http
        self._credentials = Credentials(credentials.access_key, credentials.secret_key)

    def put(
        self, bucket: str, key: str, source: Path, *, sha256: str | None, headers: Mapping[str, str]
    ) -> None:
        """With `sha256` only bytes of that digest, and only where nothing stands. Raises OtherDigest, S3Error (code
        PreconditionFailed where something stands), ServerError, urllib3's errors."""
        with source.open("rb") as file:
            first = file.read(PART)
            if len(first) < PART:
                self._put_whole(bucket, key, first, sha256=sha256, headers=headers)
            else:
                self._put_parts(bucket, key, first, file, sha256=sha256, headers=headers)

    def _put_whole(
        self, bucket: str, key: str, content: bytes, *, sha256: str | None, headers: Mapping[str, str]
    ) -> None:
        digest = hashlib.sha256(content)
        if sha256 not in (None, digest.hexdigest()):
            raise OtherDigest(key)
        condition = ONLY_IF_ABSENT if sha256 else {}
        checksum = {"x-amz-checksum-sha256": b64encode(digest.digest()).decode()}
        self._send("PUT", bucket, key, content, headers={**headers, **checksum, **condition})

    def _put_parts(
        self, bucket: str, key: str, part: bytes, rest: BinaryIO, *, sha256: str | None, headers: Mapping[str, str]
    ) -> None:  # fmt: skip
        begun = self._send("POST", bucket, key, b"", query={"uploads": ""}, headers=headers)
        upload = _text(begun, "UploadId")
        try:
            whole, parts = hashlib.sha256(), list[str]()
            while part:
                whole.update(part)
                number = str(len(parts) + 1)
                put = self._send("PUT", bucket, key, part, query={"partNumber": number, "uploadId": upload})
                parts.append(
                    f"<Part><PartNumber>{number}</PartNumber><ETag>{put.headers['etag']}</ETag></Part>"
                )
                part = rest.read(PART)
            if sha256 not in (None, whole.hexdigest()):
                raise OtherDigest(key)
            body = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
            condition = ONLY_IF_ABSENT if sha256 else {}
            done = self._send("POST", bucket, key, body, query={"uploadId": upload}, headers=condition)
            _text(done, "ETag")  # a failure may come with status 200
        except BaseException:
            with contextlib.suppress(Exception):  # the bucket's own rule clears what this leaves
                self._send("DELETE", bucket, key, b"", query={"uploadId": upload})
            raise

    def _send(
        self, method: str, bucket: str, key: str, body: bytes, *, query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        scheme = "https" if self._address.secure else "http"
        url = urlsplit(f"{scheme}://{self._address.host}/{bucket}/{key}?{urlencode(query or {})}")
        now, digest = datetime.now(UTC), hashlib.sha256(body).hexdigest()
        signed = sign_v4_s3(
            method=method, url=url, region=self._address.region, credentials=self._credentials, date=now,
            content_sha256=digest,
            headers={
                "Host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}",
                **(headers or {}),
            },
        )  # fmt: skip
        plain = {name: value for name, value in signed.items() if isinstance(value, str)}
        response = self._http.urlopen(method, url.geturl(), body=body, headers=plain)
        if response.status >= 300:
            raise _refusal(response)
        return response


def _refusal(response: urllib3.BaseHTTPResponse) -> S3Error | ServerError:
    if b"<Error" in response.data[:200]:
        return S3Error.fromxml(response)
    return ServerError(f"status {response.status}", response.status)


def _text(response: urllib3.BaseHTTPResponse, name: str) -> str:
    """Raises ServerError: a missing answer is none."""
    try:
        root = ET.fromstring(response.data)  # noqa: S314 - our own store's answer, bounded by its limits
    except ET.ParseError as why:
        raise ServerError("not XML", response.status) from why
    if root.tag.endswith("Error"):
        raise S3Error.fromxml(response)
    found = next((one.text for one in root.iter() if re.sub(r"^\{.*\}", "", one.tag) == name), None)
    if not found:
        raise ServerError(f"an answer without {name}", response.status)
    return found
