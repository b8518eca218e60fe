"""The only state there is: rows in Postgres (through PostgREST) and files in Supabase Storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from shared.core.auth import User
from shared.core.errors import (
    Conflict,
    ForgeError,
    InvalidInput,
    NotFound,
    OutOfCredits,
    StoreUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from shared.core.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from postgrest import AsyncPostgrestClient

BUCKET = "personaforge"
T = TypeVar("T")
Row = dict[str, Any]

_BY_CODE: dict[str, tuple[type[ForgeError], str]] = {
    "PT401": (Unauthenticated, "Sign in first."),
    "PGRST301": (Unauthenticated, "The access token is not valid for this project."),
    "PGRST303": (Unauthenticated, "The access token has expired. Refresh the session and retry."),
    "42501": (NotFound, "There is no such thing of yours."),
    "22P02": (InvalidInput, "An id or value has the wrong form."),
    "23514": (InvalidInput, "A value is outside what is allowed."),
}

# Our SQL functions say these in words that are meant for the caller.
_TOLD: dict[str | None, type[ForgeError]] = {
    "PT402": OutOfCredits,
    "PT409": Conflict,
    "PT422": InvalidInput,
    "PT429": TooManyRequests,
}


class Store:
    """Rows are read as the user wherever one is present; only settling and files use the secret key."""

    def __init__(self, settings: Settings, rest: httpx.AsyncClient, files: httpx.AsyncClient) -> None:
        self.settings = settings
        self._soon: set[asyncio.Task[Any]] = set()
        self._url, self._rest, self._files_http = settings.supabase_url.rstrip("/"), rest, files
        self._publishable, self._secret = settings.supabase_publishable_key, settings.supabase_secret_key

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Store]:
        """Connections live as long as the container."""
        url = settings.supabase_url.rstrip("/")
        # Node closes a connection after 5 idle seconds: one kept that long here would be written to as it goes.
        limits = httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=4)
        async with (
            httpx.AsyncClient(base_url=f"{url}/rest/v1", timeout=10, limits=limits) as rest,
            httpx.AsyncClient(base_url=f"{url}/storage/v1/", timeout=60, limits=limits) as files,
        ):
            store = cls(settings, rest, files)
            try:
                yield store
            finally:
                if store._soon:
                    await asyncio.wait(store._soon, timeout=10)

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

    async def run(self, query: Awaitable[T]) -> T:
        """Await a query; its errors become ours."""
        from postgrest.exceptions import APIError

        try:
            return await query
        except APIError as error:
            kind, detail = _BY_CODE.get(error.code or "", (StoreUnavailable, "The database refused the request."))
            if error.code == "PT404":
                kind, detail = NotFound, f"There is {error.message} of yours."
            elif error.code in _TOLD:
                words = error.message or ""
                kind, detail = _TOLD[error.code], f"{words[:1].upper()}{words[1:]}."
            extra = {"retry_after": int(error.hint)} if kind is TooManyRequests and error.hint else {}
            raise kind(detail, **extra) from error
        except httpx.HTTPError as error:
            raise StoreUnavailable("The database could not be reached. Retry in a moment.") from error

    async def rows(self, query: Any) -> list[Row]:
        """The rows that a query answers with."""
        found: list[Row] = (await self.run(query.execute())).data
        return found

    async def call(self, function: str, arguments: Row, user: User | None = None) -> Any:
        """Call an SQL function, as the user or with all rights; returns its result."""
        client = self.as_user(user) if user else self.as_service()
        return (await self.run(client.rpc(function, arguments).execute())).data

    async def put(self, path: str, data: bytes, content_type: str) -> None:
        """Write a new file. Paths are never reused."""
        await self._file(self._bucket().upload(path, data, {"content-type": content_type, "cache-control": "31536000"}))

    async def get(self, path: str) -> bytes:
        return await self._file(self._bucket().download(path))

    async def remove(self, *paths: str) -> None:
        await self._file(self._bucket().remove(list(paths)))

    def soon(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin work that nobody waits for and that a schedule does again should this container die before."""
        task = asyncio.create_task(work)
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)

    def address(self, path: str | None) -> str | None:
        """Where anyone who knows the path can read the file."""
        return f"{self._url}/storage/v1/object/public/{BUCKET}/{path}" if path else None

    def _bucket(self) -> Any:
        from storage3 import AsyncStorageClient

        headers = {"apikey": self._secret, "Authorization": f"Bearer {self._secret}"}
        client = AsyncStorageClient(f"{self._url}/storage/v1/", headers, http_client=self._files_http)
        return client.from_(BUCKET)

    @staticmethod
    async def _file(request: Awaitable[T]) -> T:
        from storage3.exceptions import StorageApiError

        try:
            async with asyncio.timeout(60):
                return await request
        except StorageApiError as error:
            raise StoreUnavailable(f"File storage refused the request ({error.code}).") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise StoreUnavailable("File storage could not be reached. Retry in a moment.") from error
