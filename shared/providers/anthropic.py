"""Anthropic: the language model, Claude."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.core import telemetry
from shared.core.errors import Declined, ForgeError, ProviderBusy, ProviderFailed, ProviderTimeout, provider_error
from shared.core.settings import Settings
from shared.providers import catalogue

NAME = "anthropic"
M = TypeVar("M", bound=BaseModel)
MAX_TOKENS = 1500  # of an answer: two minutes of speech
THINKING = 1000  # tokens beside it, of a model that cannot answer without
CHARACTERS_A_TOKEN = 4  # at least, of English: what is shorter by this count may be too short for the cache


@dataclass
class Usage:
    """Filled while the text streams."""

    message_id: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    billed_in: float = 0.0  # tokens at the full price: a read of the cache costs a tenth, a write a quarter more

    def read(self, usage: Any) -> None:
        """Add what a request says of its input."""
        written, cached = usage.cache_creation_input_tokens or 0, usage.cache_read_input_tokens or 0
        self.tokens_in += usage.input_tokens + written + cached
        self.billed_in += usage.input_tokens + 1.25 * written + 0.1 * cached


class Malformed(ProviderFailed):
    """An answer that was paid for and is not in the form that was asked for."""

    code = "malformed_answer"


class LanguageModel:
    """Claude over the Messages API. One attempt only: a talk has one budget of time; see retry.py."""

    def __init__(self, settings: Settings) -> None:
        from anthropic import AsyncAnthropic

        self._known = catalogue.claude(settings)
        self.model = self._known.name
        self.max_tokens = MAX_TOKENS + (THINKING if self._known.effort else 0)
        self._client = AsyncAnthropic(
            api_key=settings.anthropic_api_key,
            base_url=settings.anthropic_base_url,
            max_retries=0,
            timeout=30,
        )

    async def close(self) -> None:
        await self._client.close()

    def _system(self, text: str) -> Any:
        """The persona as a prefix to be cached, where it is long enough: a shorter one is refused in silence."""
        long = len(text) >= self._known.cached_from * CHARACTERS_A_TOKEN
        return [{"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if long else {})}]

    def _quick(self) -> dict[str, Any]:
        """What has it answer without thinking first, as far as it can: nobody waits for a talk's first word."""
        thinking = {"thinking": self._known.thinking} if self._known.thinking else {}
        return {**thinking, **({"output_config": {"effort": self._known.effort}} if self._known.effort else {})}

    async def write(self, system: str, messages: list[dict[str, str]], usage: Usage) -> AsyncIterator[str]:
        """The answer in pieces as Claude writes it.

        Raises ProviderFailed and its kinds, also in mid-stream.
        """
        arguments: Any = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "system": self._system(system),
            "messages": messages,
            **self._quick(),
        }
        stop_reason, written = None, 0
        async with _call(), self._client.messages.stream(**arguments) as stream:
            async for event in stream:
                if event.type == "message_start":
                    usage.message_id, usage.model = event.message.id, str(event.message.model)
                    usage.read(event.message.usage)
                elif event.type == "text":
                    written += len(event.text)
                    usage.tokens_out = max(usage.tokens_out + 1, written // 3)  # at most; the exact number comes last
                    yield event.text
                elif event.type == "message_delta":
                    usage.tokens_out, stop_reason = event.usage.output_tokens, event.delta.stop_reason
            if stop_reason is None:
                raise ProviderFailed(NAME, "Claude's answer broke off.")
            if stop_reason == "refusal":
                raise Declined("Claude declined to answer this message. Ask something else.")

    async def read(self, kind: type[M], system: str, question: str, max_tokens: int, usage: Usage) -> M:
        """An answer in the form of a pydantic model, which Claude is held to. usage: filled, also where it declines.

        Raises ProviderFailed and its kinds; Declined; Malformed for one that was cut off or does not fit.
        """
        from anthropic import transform_schema

        form: Any = {"format": {"type": "json_schema", "schema": transform_schema(kind)}}
        form |= {"effort": self._known.effort} if self._known.effort else {}
        async with _call():
            answer = await self._client.messages.create(
                model=self.model,
                max_tokens=max_tokens,
                system=self._system(system),
                messages=[{"role": "user", "content": question}],
                output_config=form,
            )
            usage.message_id, usage.model = answer.id, str(answer.model)
            usage.read(answer.usage)
            usage.tokens_out += answer.usage.output_tokens
            if answer.stop_reason == "refusal":
                raise Declined("Claude declined to write about this. Change the idea.")
            try:
                return kind.model_validate_json("".join(part.text for part in answer.content if part.type == "text"))
            except ValidationError as error:
                what = f"{error.error_count()} faults, the first at {error.errors()[0]['loc']}"
                raise Malformed(NAME, f"Claude's answer cannot be read ({answer.stop_reason}, {what}).") from error


@asynccontextmanager
async def _call() -> AsyncIterator[None]:
    with telemetry.call(NAME, "messages"):
        try:
            yield
        except ForgeError:
            raise
        except Exception as error:
            raise translate(error) from error


def translate(error: Exception) -> ForgeError:
    """The error for one of the SDK's, or of the connection under it."""
    import anthropic
    import httpx2

    if isinstance(error, (anthropic.APITimeoutError, httpx2.TimeoutException)):
        return ProviderTimeout(NAME, "Claude did not answer in time.")
    if isinstance(error, anthropic.APIStatusError):
        if error.status_code == 200:  # an error event in mid-stream carries the status of the stream it broke
            kind = ProviderBusy if error.type in ("overloaded_error", "rate_limit_error") else ProviderFailed
            return kind(NAME, f"Claude stopped in mid-answer ({error.type}).")
        retry_after = error.response.headers.get("retry-after")
        detail = f"Claude answered {error.status_code} ({error.type})."
        return provider_error(NAME, error.status_code, detail, retry_after)
    if isinstance(error, anthropic.APIResponseValidationError):
        return ProviderFailed(NAME, "Claude's answer is not what its interface promises.")
    if isinstance(error, (anthropic.AnthropicError, httpx2.HTTPError, httpx2.StreamError, httpx2.CookieConflict)):
        return ProviderFailed(NAME, "The connection to Claude failed.")
    if isinstance(error, (httpx2.InvalidURL, ValueError, AssertionError, KeyError)):
        return ProviderFailed(NAME, "Claude's answer is not what its interface promises.")
    return ForgeError("An unexpected error in the adapter of Anthropic; it has been logged.")
