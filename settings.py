"""Every setting of the service, read from the environment (`ANTIN_*`); `docs/operations.md` shows them as a table.

No setting holds a secret: secrets are named by the file that holds them, or by a systemd credential.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Mode(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ANTIN_", extra="ignore")

    home: Path = Field(Path("var"), description="Folder of everything this host keeps")
    mode: Mode = Field(
        Mode.DEVELOPMENT, description="`production` refuses whatever is for demonstration only"
    )

    bind: str = Field("127.0.0.1", description="Address to listen on (`BIND` of scripts/run)")
    port: int = Field(8000, description="Port to listen on (`PORT` of scripts/run)")
    public_url: str = Field(
        "", description="The address in QR codes and links, for ever; default: bind and port"
    )
    trusted_proxies: list[str] = Field([], description="Addresses whose `X-Forwarded-*` is believed")

    database_url: str = Field("", description="SQLAlchemy URL without password; default: SQLite in the home")
    database_password_file: Path | None = Field(None, description="File with the database's password")
    jobs_database_url: str = Field("", description="Where waiting work lies; default: SQLite in the home")

    s3_endpoint: str = Field("", description="S3 address; empty: a folder in the home keeps the bytes")
    s3_region: str = Field("us-east-1", description="S3 region")
    s3_kept_bucket: str = Field("antin-kept", description="Bucket with versions and object lock")
    s3_working_bucket: str = Field("antin-working", description="Bucket without lock")
    s3_credentials_file: Path | None = Field(None, description="File: access key, line break, secret key")

    token_socket: Path | None = Field(None, description="Socket of the token process; default: in the home")
    token_folder: Path | None = Field(
        None, description="Key book, use log and PIN of the token; default: home/token"
    )
    token_module: str = Field(
        "", description="SoftHSM's module, for the token of development; default: where Debian puts it"
    )
    softhsm_in_production: str = Field(
        "", description="To run production on SoftHSM: `I accept that keys in SoftHSM are files`"
    )
    queue_limit: int = Field(256, ge=1, description="Signing orders that may wait for the token before `503`")

    tsa_urls: list[str] = Field([], description="Time-stamp authorities, asked in this order; empty: our own")
    tsa_networks: list[str] = Field(
        ["127.0.0.0/8", "::1/128"], description="Who may ask `POST /tsa` without a key"
    )
    tsa_policy_oid: str = Field("1.3.6.1.4.1.99999.1.1", description="Policy OID of our own authority")
    clock_sources: list[str] = Field(
        [], description="NTP servers the clock is held against; production needs two"
    )
    clock_bound_ms: int = Field(
        1000, ge=1, description="Signing and stamping stop when the clock is further off"
    )
    revocation_hosts: list[str] = Field(
        [], description="Hosts from which issuers' certificates may be fetched"
    )

    revocation_networks: list[str] = Field(
        [], description="Networks that are not public where CRL and OCSP may be asked, as `10.1.0.0/16`"
    )
    checkpoint_folder: Path | None = Field(
        None, description="Second place of audit checkpoints, out of reach of the database's administrator"
    )

    upload_limit: int = Field(2 * 1024**3, ge=1, description="Largest document, bytes")
    verify_limit: int = Field(256 * 1024**2, ge=1, description="Largest file brought for verification, bytes")
    allow_javascript: bool = Field(False, description="Sign PDFs that contain JavaScript")
    allow_embedded_files: bool = Field(True, description="Sign PDFs that contain embedded files")
    requests_per_minute: int = Field(600, ge=1, description="Per API client or address")
    workers: int = Field(
        2, ge=1, description="Child processes that read PDF files; one more keeps signing and verifying apart"
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning, error"
    )

    @property
    def production(self) -> bool:
        return self.mode is Mode.PRODUCTION

    @property
    def address(self) -> str:
        """The public address without a slash at its end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.bind}]" if ":" in self.bind else self.bind
        return f"http://{host}:{self.port}"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.home / 'antin.sqlite').absolute()}"

    @property
    def jobs_database(self) -> str:
        return self.jobs_database_url or f"sqlite:///{(self.home / 'jobs.sqlite').absolute()}"

    @property
    def checkpoints(self) -> Path:
        return self.checkpoint_folder or self.home / "checkpoints"

    @property
    def token(self) -> Path:
        return self.token_folder or self.home / "token"

    @property
    def socket(self) -> Path:
        return self.token_socket or self.token / "socket"
