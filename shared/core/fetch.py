"""Fetching addresses that users give, within limits: https, a public address that is checked and then used, limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpx

from shared.core.errors import AddressRefused, FetchFailed
from shared.core.settings import Settings

Resolve = Callable[[str, int], Awaitable[list[str]]]
_RESOLVERS = ThreadPoolExecutor(8, thread_name_prefix="resolve")
_NAT64, _GLOBAL = ip_network("64:ff9b::/96"), ip_network("2000::/3")  # the latter: all that is routed in IPv6
# Blocks that are not globally reachable, or reach others than they say, by IANA's registries of special-purpose
# addresses for IPv4 and IPv6, and multicast. Written down, as Python's own list differs from version to version.
SPECIAL = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "::1/128", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23",
        "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
        "ff00::/8",
    )
)  # fmt: skip


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host. Also reads 2130706433, 0x7f.1 and other spellings of numbers, as connecting would."""
    loop = asyncio.get_running_loop()
    # Threads of their own: a name whose server never answers must not keep others from theirs.
    found = await loop.run_in_executor(_RESOLVERS, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    return [str(one[4][0]) for one in found]


def check(address: str, settings: Settings) -> None:
    """Refuse what needs no look-up to be refused. Raises AddressRefused."""
    try:
        _check(httpx.URL(address), _loopback(settings))
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused("The address is not a URL.") from error


def _loopback(settings: Settings) -> bool:
    return settings.forge_loopback_urls == "yes"


class Fetcher:
    """Visits what users name.

    loopback: http and https to 127.0.0.1 and ::1 are allowed too, for a stack that is whole on one machine.
    """

    def __init__(self, *, loopback: bool = False, resolve: Resolve = resolve) -> None:
        self._loopback = loopback
        self._http = httpx.AsyncClient(
            transport=_Guarded(loopback, resolve), timeout=10, max_redirects=3, trust_env=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "personaforge"},
        )  # fmt: skip

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator[Fetcher]:
        fetcher = cls(loopback=_loopback(settings))
        try:
            yield fetcher
        finally:
            await fetcher._http.aclose()

    async def get(self, address: str, most: int, seconds: float = 20) -> bytes:
        """The body, of at most `most` bytes, within `seconds`, redirects included.

        Raises AddressRefused for what is not visited at all, FetchFailed for what did not work out.
        """
        data = bytearray()
        async with _errors_translated(seconds), self._http.stream("GET", address, follow_redirects=True) as answer:
            if answer.status_code != 200:
                raise FetchFailed(f"The address answered {answer.status_code}.")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed("The address answered compressed although it was asked not to.")
            async for chunk in answer.aiter_raw():
                data += chunk
                if len(data) > most:
                    raise FetchFailed(f"The file at the address has more than {most // 2**20} MiB.")
        return bytes(data)

    async def post(self, address: str, data: bytes, headers: dict[str, str], seconds: float = 10) -> int:
        """Send data; returns the status. The answer's body is not read and redirects are not followed."""
        async with (
            _errors_translated(seconds),
            self._http.stream("POST", address, content=data, headers=headers) as answer,
        ):
            return answer.status_code


@asynccontextmanager
async def _errors_translated(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise FetchFailed(f"The address did not answer completely within {seconds:.0f} s.") from error
    except httpx.TooManyRedirects as error:
        raise FetchFailed("The address redirects more than three times.") from error
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused("The address is not a URL.") from error
    except httpx.HTTPError as error:
        raise FetchFailed(f"The address could not be reached ({type(error).__name__}).") from error


class _Guarded(httpx.AsyncBaseTransport):
    """Looks a name up once, checks what came, and connects to exactly that. Redirects pass through here as well."""

    def __init__(self, loopback: bool, resolve: Resolve) -> None:
        self._loopback, self._resolve = loopback, resolve
        # A connection is never used again: it was verified for one name, and another name may have the same address.
        self._plain = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _check(request.url, self._loopback)
        port = request.url.port or {"https": 443, "http": 80}[request.url.scheme]
        try:
            found = await self._resolve(request.url.host, port)
        except (OSError, UnicodeError) as error:
            raise FetchFailed(f"The name {request.url.host[:100]} could not be found.") from error
        for address in found:
            _check_address(address, self._loopback)
        if not found:
            raise FetchFailed(f"The name {request.url.host[:100]} has no address.")
        pinned = httpx.Request(
            request.method, request.url.copy_with(host=found[0]), headers=request.headers, stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host.rstrip(".")},
        )  # fmt: skip
        return await self._plain.handle_async_request(pinned)

    async def aclose(self) -> None:
        await self._plain.aclose()


def _check(url: httpx.URL, loopback: bool) -> None:
    host = url.host.rstrip(".").lower()
    near = loopback and (host == "localhost" or _is_loopback(host))
    if url.scheme != "https" and not (near and url.scheme == "http"):
        raise AddressRefused("Only https:// addresses are visited.")
    if url.userinfo:
        raise AddressRefused("An address with a name or password in it is not visited.")
    if url.port is not None and not 0 < url.port < 65536:
        raise AddressRefused(f"There is no port {url.port}.")
    if number := _number(host):
        _check_address(number, loopback)
    elif not near and ("." not in host or host.endswith((".localhost", ".local", ".internal"))):
        raise AddressRefused("The host is not a public one.")


def _number(host: str) -> str | None:
    """The address in a host that is one, in any spelling that connecting would understand."""
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _is_loopback(host: str) -> bool:
    number = _number(host)
    return number is not None and ip_address(number).is_loopback


def _check_address(text: str, loopback: bool) -> None:
    address = ip_address(text)
    if loopback and address.is_loopback:
        return
    inside = _inside(address)
    routed = isinstance(address, IPv4Address) or address in _GLOBAL or bool(inside)
    if not routed or any(one in network for one in (address, *inside) for network in SPECIAL):
        raise AddressRefused("The host's address is not a public one.")


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address carries."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one]
