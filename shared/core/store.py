"""The only state there is: rows in Postgres (through PostgREST) and files in Supabase Storage."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import httpx

from shared.core import telemetry
from shared.core.auth import User
from shared.core.errors import (
    Conflict,
    DatabaseNotMigrated,
    FileTooLarge,
    ForgeError,
    InvalidInput,
    NotFound,
    OutOfCredits,
    StoreUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from shared.core.settings import Settings
from shared.core.time import format_time
from shared.core.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from postgrest import AsyncPostgrestClient

BUCKET = "personaforge"  # private: read under addresses that are signed for a day
PUBLIC = "personaforge-public"  # copies of what was published
SIGNED_FOR = 86_400  # seconds; an address is given out again for half of them, so that browsers find what they have
_KEPT_ADDRESSES = 20_000
_AT_ONCE = 50  # files: their paths stand in the URL of one request
log = logging.getLogger("personaforge.store")
T = TypeVar("T")
Row = dict[str, Any]  # as PostgREST has it; becomes a type of the domain where it is read

# Our SQL functions raise these with words that are meant for the caller.
_FOR_THE_CALLER: dict[str, type[ForgeError]] = {
    "PT402": OutOfCredits,
    "PT409": Conflict,
    "PT422": InvalidInput,
    "PT429": TooManyRequests,
}
_BY_CODE: dict[str, tuple[type[ForgeError], str]] = {
    "PT401": (Unauthenticated, "Sign in first."),
    "PGRST301": (Unauthenticated, "The access token is not valid for this project."),
    "PGRST303": (Unauthenticated, "The access token has expired. Refresh the session and retry."),
    "22P02": (InvalidInput, "An id or value has the wrong form."),
    "23505": (Conflict, "This exists already."),
    "23514": (InvalidInput, "A value is outside what is allowed."),
}
# Unknown tables, functions, columns and types: of Postgres, and of PostgREST's schema cache.
_NOT_MIGRATED = ("42P01", "42883", "42703", "42704", "PGRST202", "PGRST204", "PGRST205")
# Connections, resources, shutdown, cancelled statements, locks; PostgREST without its database.
_UNAVAILABLE = ("08", "53", "57", "40", "55P03", "PGRST00")


def translate(code: str, message: str, hint: str | None = None) -> ForgeError:
    """The error for a SQLSTATE or a code of PostgREST. One that nobody foresaw is our bug: a plain ForgeError, 500."""
    if code == "PT404":
        return NotFound(f"There is {message} of yours.")
    if code in _FOR_THE_CALLER:
        extra = {"retry_after": int(hint)} if code == "PT429" and hint else {}
        return _FOR_THE_CALLER[code](f"{message[:1].upper()}{message[1:]}.", **extra)
    if code in _BY_CODE:
        kind, detail = _BY_CODE[code]
        return kind(detail)
    if code == "42501" and "row-level security" in message:
        return NotFound("There is no such thing of yours.")
    if code in _NOT_MIGRATED:
        return DatabaseNotMigrated(
            f"The database lacks something ({code}). Apply the migrations: supabase db push --remote."
        )
    of_http = code.isdecimal() and len(code) == 3  # a gateway in front of PostgREST
    if code.startswith("5") if of_http else code.startswith(_UNAVAILABLE) or not code:
        return StoreUnavailable("The database did not answer. Retry in a moment.")
    return ForgeError(f"The database refused a request of ours ({code}); it has been logged.")


def public_name(path: str) -> str:
    """Of a public copy: without the folder, which is named after the file's owner."""
    return path.rpartition("/")[2]


class Store:
    """Rows are read as the user wherever one is present; only settling and files use the secret key."""

    def __init__(self, settings: Settings, rest: httpx.AsyncClient, files: httpx.AsyncClient) -> None:
        self.settings = settings
        self._background: set[asyncio.Task[Any]] = set()
        self._url, self._rest, self._files_http = settings.supabase_url.rstrip("/"), rest, files
        self._publishable, self._secret = settings.supabase_publishable_key, settings.supabase_secret_key
        self._authorized = {"apikey": self._secret, "Authorization": f"Bearer {self._secret}"}
        self._signed: OrderedDict[str, tuple[str, float]] = OrderedDict()  # and until when they are given out

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Store]:
        """Connections live as long as the container."""
        url = settings.supabase_url.rstrip("/")
        # Node closes a connection after 5 idle seconds: one kept that long here would be written to as it goes.
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=4)
        async with (
            httpx.AsyncClient(base_url=f"{url}/rest/v1", timeout=10, limits=limits, verify=certificates()) as rest,
            httpx.AsyncClient(base_url=f"{url}/storage/v1/", timeout=60, limits=limits, verify=certificates()) as files,
        ):
            store = cls(settings, rest, files)
            try:
                yield store
            finally:
                if store._background:
                    await asyncio.wait(store._background, timeout=10)

    def as_user(self, user: User) -> AsyncPostgrestClient:
        """PostgREST with the user's rights: row-level security decides."""
        return self._client(self._publishable, user.token)

    def as_service(self) -> AsyncPostgrestClient:
        """PostgREST with all rights."""
        return self._client(self._secret, self._secret)

    def _client(self, key: str, token: str) -> AsyncPostgrestClient:
        from postgrest import AsyncPostgrestClient

        headers = {"apikey": key, "Authorization": f"Bearer {token}"}
        return AsyncPostgrestClient(f"{self._url}/rest/v1", headers=headers, http_client=self._rest)

    async def rows(self, query: Any) -> list[Row]:
        """The rows of a query. Raises what `translate` gives."""
        rows: list[Row] = (await self._run(f"{query.request.http_method} {query.request.path}", query.execute())).data
        return rows

    async def call(self, function: str, arguments: Row, user: User | None = None) -> Any:
        """Call an SQL function, as the user or with all rights; returns its result."""
        client = self.as_user(user) if user else self.as_service()
        return (await self._run(f"rpc {function}", client.rpc(function, arguments).execute())).data

    @staticmethod
    async def _run(operation: str, query: Awaitable[T]) -> T:
        from postgrest.exceptions import APIError

        with telemetry.span("supabase", operation):
            try:
                return await query
            except APIError as error:
                raise translate(error.code or "", error.message or "", error.hint) from error
            except httpx.HTTPError as error:
                raise StoreUnavailable("The database could not be reached. Retry in a moment.") from error

    async def put(
        self, path: str, data: bytes, content_type: str, *, owner: str | UUID, referrer: str | UUID | None = None,
        expires_at: str | None = None, sha256: str | None = None,
    ) -> None:  # fmt: skip
        """Write a new file and note it in the table `files`. Paths are never reused.

        referrer: the row that keeps it, where it is known already; else the file must be given one within minutes, by
        a settlement for example, or reconciliation removes it. expires_at (ISO 8601): of a file that is kept until
        then without one. Raises Conflict when the path is taken.
        """
        note = {"path": path, "owner": str(owner), "content_type": content_type, "bytes": len(data)}
        note |= {"referrer": str(referrer)} if referrer else {}
        note |= {"expires_at": expires_at, "sha256": sha256} if expires_at else {}
        await self.rows(self.as_service().from_("files").insert(note))
        options = {"content-type": content_type, "cache-control": "31536000"}
        try:
            await self._file("upload", self._bucket().upload(path, data, options))
            if not await self.rows(self.as_service().from_("files").select("path").eq("path", path)):
                await self._file("remove", self._bucket().remove([path]))  # its owner was erased meanwhile
                raise Conflict("The account was erased while this was being made.")
        except BaseException:
            # It may have arrived all the same: reconciliation removes it, and its note.
            with suppress(ForgeError):
                let_go = {"referrer": None, "expires_at": None}
                await self.rows(self.as_service().from_("files").update(let_go).eq("path", path))
            raise

    async def replace(self, path: str, data: bytes, content_type: str) -> None:
        """Write a file again whose picture and sound stay what they were: readers may be given either for a while."""
        options = {"content-type": content_type, "cache-control": "31536000", "x-upsert": "true"}
        await self._file("upload", self._bucket().upload(path, data, options))

    async def get(self, path: str) -> bytes:
        """Raises NotFound when there is no such file."""
        return await self._file("download", self._bucket().download(path))

    async def remove(self, *paths: str) -> None:
        """Remove files, their public copies and their notes, those that are gone already included."""
        for first in range(0, len(paths), _AT_ONCE):
            some = list(paths[first : first + _AT_ONCE])
            await self._file("remove", self._bucket().remove(some))  # first: what is gone cannot be published
            await self._file("remove", self._bucket(PUBLIC).remove([public_name(path) for path in some]))
            await self.rows(self.as_service().from_("files").delete().in_("path", some))

    async def discard(self, *paths: str) -> None:
        """Remove files to which nothing refers any more; where storage refuses, reconciliation does it later."""
        try:
            await self.remove(*paths)
        except ForgeError as error:
            log.warning("%d files are left to reconciliation: %s", len(paths), error.detail)

    def in_background(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin work that nobody waits for and that a schedule does again should this container die before."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def publish(self, *paths: str) -> None:
        """Copy files to the public bucket. Noted first, so that a copy that is not wanted after all is found."""
        table = self.as_service().from_("files")
        await self.rows(table.update({"public_at": format_time(datetime.now(UTC))}).in_("path", list(paths)))
        for path in paths:
            await self._file("copy", self._copy(path))

    async def _copy(self, path: str) -> None:
        """Into another bucket, which the client library cannot."""
        from storage3.exceptions import StorageApiError

        body = {"bucketId": BUCKET, "sourceKey": path, "destinationBucket": PUBLIC, "destinationKey": public_name(path)}
        answer = await self._files_http.post("object/copy", json=body, headers=self._authorized | {"x-upsert": "true"})
        found = {} if answer.is_success else answer.json()
        if found and found.get("error") != "Duplicate":
            raise StorageApiError(found.get("message", ""), found.get("error", ""), answer.status_code)

    async def withdraw(self, *paths: str) -> None:
        """Remove files' public copies."""
        for first in range(0, len(paths), _AT_ONCE):
            some = list(paths[first : first + _AT_ONCE])
            await self._file("remove", self._bucket(PUBLIC).remove([public_name(path) for path in some]))
            await self.rows(self.as_service().from_("files").update({"public_at": None}).in_("path", some))

    async def addresses(
        self, private: Iterable[str | None], public: Iterable[str | None] = ()
    ) -> Mapping[str | None, str]:
        """Where files can be read, by path: by whoever was given the address, for twelve hours or more; public ones by
        everybody, for good. One request, for what was not asked for lately. A file that is gone has no address."""
        found: dict[str | None, str] = {
            path: f"{self._url}/storage/v1/object/public/{PUBLIC}/{public_name(path)}" for path in public if path
        }
        now, missing = time.monotonic(), []
        for path in {path for path in private if path}:
            address, until = self._signed.get(path, ("", 0.0))
            if until > now:
                found[path] = address
            else:
                missing.append(path)
        if missing:
            for one in await self._file("sign", self._bucket().create_signed_urls(missing, SIGNED_FOR)):
                if one["signedURL"]:
                    found[one["path"]] = one["signedURL"]
                    self._signed[one["path"]] = (one["signedURL"], now + SIGNED_FOR / 2)
            while len(self._signed) > _KEPT_ADDRESSES:
                self._signed.popitem(last=False)
        return found

    def _bucket(self, name: str = BUCKET) -> Any:
        from storage3 import AsyncStorageClient

        client = AsyncStorageClient(f"{self._url}/storage/v1/", self._authorized, http_client=self._files_http)
        return client.from_(name)

    @staticmethod
    async def _file(operation: str, request: Awaitable[T]) -> T:
        from storage3.exceptions import StorageApiError

        with telemetry.span("supabase", operation):
            try:
                async with asyncio.timeout(60):
                    return await request
            except StorageApiError as error:
                if str(error.status) == "404" or error.code in ("not_found", "NoSuchKey"):
                    raise NotFound("There is no such file.") from error
                if str(error.status) == "413" or error.code == "EntityTooLarge":
                    raise FileTooLarge from error
                raise StoreUnavailable(f"File storage refused the request ({error.code}).") from error
            except (httpx.HTTPError, TimeoutError) as error:
                raise StoreUnavailable("File storage could not be reached. Retry in a moment.") from error
