"""Files that users upload to name them in inputs: kept for a day, shown to their owner alone."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import UUID, uuid4

from pydantic import BaseModel, JsonValue

from shared.core.auth import User
from shared.core.errors import FileUnusable, NotFound
from shared.core.store import Row, Store
from shared.core.time import Time, format_time, parse_time

LARGEST = 20 * 1024 * 1024  # as what is fetched from an address
LARGEST_INLINE = 256_000  # bytes in a data: URL, as Replicate has it
LONGEST_INLINE = 350_000  # characters of one, in base64, whatever its head
KEPT = timedelta(days=1)
LONGEST_USE = timedelta(minutes=90)  # from a request to the end of its prediction, at most an hour later

# By their first bytes: whoever follows an address of ours is given sound or pictures, whatever was claimed.
_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
    b"\xff\xfb": "audio/mpeg",
    b"\xff\xf3": "audio/mpeg",
}
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp"}


class FileResponse(BaseModel):
    """An uploaded file, as Replicate's clients read it."""

    id: UUID
    name: str
    content_type: str
    size: int
    etag: str
    checksums: dict[str, str]
    metadata: dict[str, JsonValue] = {}
    created_at: Time
    expires_at: Time
    urls: dict[str, str]


class FilePage(BaseModel):
    """Uploaded files, newest first."""

    next: str | None = None
    previous: str | None = None
    results: list[FileResponse]


@dataclass(frozen=True)
class Upload:
    """A row of the table `files` that a user made. path: `{owner}/{id}-{a secret}`."""

    path: str
    content_type: str
    size: int
    sha256: str
    created_at: str
    expires_at: str

    @classmethod
    def from_row(cls, row: Row) -> Upload:
        return cls(*(row[name] for name in ("path", "content_type", "bytes", "sha256", "created_at", "expires_at")))

    @property
    def id(self) -> UUID:
        return UUID(self.path.partition("/")[2].partition("-")[0])

    def address(self, forge_url: str) -> str:
        """What stands for it in an input."""
        return f"{forge_url}/v1/files/{self.id}"

    def to_api(self, forge_url: str) -> FileResponse:
        return FileResponse(
            id=self.id,
            name=f"{self.id}.{self.content_type.partition('/')[2]}",
            content_type=self.content_type,
            size=self.size,
            etag=self.sha256,
            checksums={"sha256": self.sha256},
            created_at=parse_time(self.created_at),
            expires_at=parse_time(self.expires_at),
            urls={"get": self.address(forge_url)},
        )


async def keep(store: Store, user: User, data: bytes) -> Upload:
    """Raises FileUnusable for what is no sound or picture, TooManyRequests over a limit."""
    if len(data) > LARGEST:
        raise FileUnusable(f"The file may have at most {LARGEST // 2**20} MiB.")
    kind = next((found for magic, found in _TYPES.items() if data.startswith(magic)), None)
    kind = _RIFF.get(data[8:12]) if data.startswith(b"RIFF") else kind
    kind = "audio/mp4" if data[4:8] == b"ftyp" else kind
    if kind is None:
        raise FileUnusable("The file is no WAV, MP3, Ogg, FLAC, M4A, PNG, JPEG or WebP.")
    await store.call("limit_rate", {"p_owner": str(user.id), "p_kind": "uploads"})
    now = datetime.now(UTC)
    path = f"{user.id}/{uuid4().hex}-{secrets.token_hex(16)}"
    digest, expires_at = hashlib.sha256(data).hexdigest(), format_time(now + KEPT)
    await store.put(path, data, kind, owner=user.id, expires_at=expires_at, sha256=digest)
    return Upload(path, kind, len(data), digest, format_time(now), expires_at)


async def keep_once(store: Store, user: User, data: bytes) -> Upload:
    """As `keep`; what is kept already for as long as a prediction may take is not kept again."""
    digest = hashlib.sha256(data).hexdigest()
    found = await store.rows(uploads(store, user, for_another=LONGEST_USE).eq("sha256", digest).limit(1))
    return Upload.from_row(found[0]) if found else await keep(store, user, data)


def uploads(store: Store, user: User, for_another: timedelta = timedelta()) -> Any:
    """The query for a user's files that are still kept after so much time."""
    until = format_time(datetime.now(UTC) + for_another)
    return store.as_user(user).from_("files").select("*").gt("expires_at", until)


async def find(store: Store, user: User, file: UUID) -> Upload:
    """Raises NotFound for what is not the user's."""
    rows = await store.rows(uploads(store, user).like("path", f"{user.id}/{file.hex}-*").limit(1))
    if not rows:
        raise NotFound("There is no such file of yours; uploaded files are kept for a day.")
    return Upload.from_row(rows[0])


async def read_of(store: Store, owner: UUID, address: str) -> bytes:
    """The bytes of an address that `keep` gave out to this owner, where no user is present. Raises NotFound."""
    file = _file_of(store, address)
    query = store.as_service().from_("files").select("*").like("path", f"{owner}/{file.hex}-*") if file else None
    rows = await store.rows(query.limit(1)) if query else []
    if not rows:
        raise NotFound("There is no such file any more; uploaded files are kept for a day.")
    return await store.get(rows[0]["path"])


async def read(store: Store, user: User, address: str) -> bytes | None:
    """The bytes of an address that `keep` gave out; None for any other address. Raises NotFound."""
    file = _file_of(store, address)
    return None if file is None else await store.get((await find(store, user, file)).path)


def _file_of(store: Store, address: str) -> UUID | None:
    """None for an address that is not of one of our files. Raises NotFound for one that names none."""
    start = f"{store.settings.forge_url}/v1/files/"
    if not address.startswith(start):
        return None
    try:
        return UUID(address.removeprefix(start))
    except ValueError as error:
        raise NotFound("There is no such file of yours.") from error


def read_data_url(address: str) -> bytes:
    """The bytes of a data: URL (RFC 2397). Raises FileUnusable."""
    head, comma, body = address.partition(",")
    if not comma:
        raise FileUnusable("A data: URL has a comma before its data.")
    try:
        data = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except ValueError as error:  # wrong base64, or no ASCII
        raise FileUnusable("The data: URL is not valid base64.") from error
    if len(data) > LARGEST_INLINE:
        raise FileUnusable(f"A data: URL holds at most {LARGEST_INLINE // 1000} kB; send more to POST /v1/files.")
    return data
