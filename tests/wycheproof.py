"""Signature values of Wycheproof, by hand: `python -m tests.wycheproof FOLDER`, a folder of its JSON files. Prints figures; ends
with 1 where one is wrong.

Each value stands in a CMS SignedData of its own, around the message, with a certificate of the vector's key: so the same code
reads and checks it as for a document. Wrong is an exception that is no verdict, an invalid value that holds, and a valid one
that does not, though its algorithm is judged here.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asn1crypto.core import ObjectIdentifier

from signing.cms import der
from signing.verification.signed_data import (
    Broken,
    NotJudged,
    NotSignedData,
    UnknownAlgorithm,
    check_signed_data,
    read_signed_data,
)

SEQUENCE, SET, NULL = b"\x30", b"\x31", b"\x05\0"
DATA, SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
NIST = "2.16.840.1.101.3.4."
DIGESTS = {
    "SHA-1": "1.3.14.3.2.26", "SHA-256": NIST + "2.1", "SHA-384": NIST + "2.2", "SHA-512": NIST + "2.3",
    "SHA-224": NIST + "2.4", "SHA-512/224": NIST + "2.5", "SHA-512/256": NIST + "2.6", "SHA3-224": NIST + "2.7",
    "SHA3-256": NIST + "2.8", "SHA3-384": NIST + "2.9", "SHA3-512": NIST + "2.10", "SHAKE128": NIST + "2.11",
    "SHAKE256": NIST + "2.12",
}  # fmt: skip
SHA2 = ("SHA-224", "SHA-256", "SHA-384", "SHA-512")
SHA3 = ("SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512")
ECDSA = (
    {"SHA-1": "1.2.840.10045.4.1", "SHAKE128": "1.3.6.1.5.5.7.6.32", "SHAKE256": "1.3.6.1.5.5.7.6.33"}
    | {name: f"1.2.840.10045.4.3.{number}" for number, name in enumerate(SHA2, 1)}
    | {name: f"{NIST}3.{number}" for number, name in enumerate(SHA3, 9)}
)
RSA = (
    {"SHA-1": "1.2.840.113549.1.1.5", "SHA-224": "1.2.840.113549.1.1.14"}
    | {name: f"1.2.840.113549.1.1.{number}" for number, name in enumerate(SHA2[1:], 11)}
    | {"SHA-512/224": "1.2.840.113549.1.1.15", "SHA-512/256": "1.2.840.113549.1.1.16"}
    | {name: f"{NIST}3.{number}" for number, name in enumerate(SHA3, 13)}
)
EDDSA = {"ed25519": ("SHA-512", "1.3.101.112"), "ed448": ("SHAKE256", "1.3.101.113")}
KINDS = {
    "EcdsaVerify": "ECDSA (DER)",
    "EcdsaP1363Verify": "ECDSA (r||s)",
    "EddsaVerify": "EdDSA",
    "RsassaPkcs1Verify": "RSA PKCS#1 v1.5",
    "RsassaPssVerify": "RSASSA-PSS",
    "RsassaPssWithParametersVerify": "RSASSA-PSS",
}
NAME = der(SEQUENCE)
SERIAL = b"\x02\x01\x07"


def oid(dotted: str) -> bytes:
    return bytes(ObjectIdentifier(dotted).dump())


def algorithms(group: dict[str, Any]) -> tuple[bytes, bytes]:
    """Of digest and signature, as a signer states them."""
    kind = KINDS[group["type"]]
    if kind == "EdDSA":
        named = (
            "ed448" if "448" in group["publicKey"].get("curve", group["publicKey"].get("type")) else "ed25519"
        )
        hashed, signed = EDDSA[named]
        return der(SEQUENCE, oid(DIGESTS[hashed])), der(SEQUENCE, oid(signed))
    digest = der(SEQUENCE, oid(DIGESTS[group["sha"]]))
    if kind == "RSASSA-PSS":
        return digest, pss(group)
    known = RSA if kind.startswith("RSA") else ECDSA
    signature = [oid(known[group["sha"]])] + ([NULL] if known is RSA else [])
    return digest, der(SEQUENCE, *signature)


def pss(group: dict[str, Any]) -> bytes:
    if group["mgf"] != "MGF1":
        return der(
            SEQUENCE, oid({"SHAKE128": "1.3.6.1.5.5.7.6.30", "SHAKE256": "1.3.6.1.5.5.7.6.31"}[group["mgf"]])
        )
    hashed, masked = (der(SEQUENCE, oid(DIGESTS[name]), NULL) for name in (group["sha"], group["mgfSha"]))
    mask = der(SEQUENCE, oid("1.2.840.113549.1.1.8"), masked)
    salt = der(b"\x02", bytes([group["sLen"]]))
    parameters = der(SEQUENCE, der(b"\xa0", hashed), der(b"\xa1", mask), der(b"\xa2", salt))
    return der(SEQUENCE, oid("1.2.840.113549.1.1.10"), parameters)


def certificate(key: bytes, signature: bytes) -> bytes:
    validity = der(SEQUENCE, der(b"\x17", b"200101000000Z"), der(b"\x17", b"400101000000Z"))
    version = der(b"\xa0", b"\x02\x01\x02")
    signed = der(SEQUENCE, version, SERIAL, signature, NAME, validity, NAME, key)
    return der(SEQUENCE, signed, signature, b"\x03\x02\0\0")


def signed_data(group: dict[str, Any], message: bytes, value: bytes) -> bytes:
    digest, algorithm = algorithms(group)
    name = der(SEQUENCE, NAME, SERIAL)
    signer = der(SEQUENCE, b"\x02\x01\x01", name, digest, algorithm, der(b"\x04", value))
    inside = der(SEQUENCE, oid(DATA), der(b"\xa0", der(b"\x04", message)))
    key = bytes.fromhex(group.get("publicKeyDer") or group["keyDer"])
    known = der(b"\xa0", certificate(key, algorithm))
    whole = der(SEQUENCE, b"\x02\x01\x01", der(SET, digest), inside, known, der(SET, signer))
    return der(SEQUENCE, oid(SIGNED_DATA), der(b"\xa0", whole))


def judged(group: dict[str, Any], test: dict[str, Any]) -> str:
    message = bytes.fromhex(test["msg"])
    try:
        data = read_signed_data(signed_data(group, message, bytes.fromhex(test["sig"])))
        check_signed_data(data, hashlib.new(data.digest_name, message).digest())
    except (UnknownAlgorithm, NotJudged):
        return "algorithm not judged"
    except (NotSignedData, Broken):
        return "refused"
    return "holds"


def groups(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text())
        for group in content["testGroups"]:
            if group.get("type") in KINDS:
                yield path.stem, group


def run(folder: Path) -> int:
    ends: Counter[tuple[str, str, str]] = Counter()
    files: Counter[str] = Counter()
    wrong = 0
    for name, group in groups(folder):
        for test in group["tests"]:
            end = judged(group, test)
            ends[KINDS[group["type"]], test["result"], end] += 1
            if (test["result"], end) in {("invalid", "holds"), ("valid", "refused")}:
                wrong += 1
                print(
                    f"WRONG {name} {test['tcId']}: {test['result']}, {end}: {test['comment']} {test['flags']}"
                )
            if end == "algorithm not judged":
                files[name] += 1
    for (kind, result, end), count in sorted(ends.items()):
        print(f"{count:>7} {kind:<16} {result:<11} {end}")
    print(f"{sum(ends.values())} values, {wrong} wrong; not judged: {dict(files)}")
    return 1 if wrong or not ends else 0


def main(words: Sequence[str]) -> int:
    return run(Path(words[0]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
