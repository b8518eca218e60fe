"""Claude writes: the answer's text as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shared.errors import ProviderBusy, ProviderFailed, ProviderTimeout, of_status
from shared.settings import Settings

NAME = "anthropic"


@dataclass
class Usage:
    """Filled while the text streams."""

    message_id: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class Claude:
    """Messages API. One attempt only: a talk has one budget of time, and repeats are decided elsewhere."""

    def __init__(self, settings: Settings) -> None:
        from anthropic import AsyncAnthropic

        self.model = settings.anthropic_model
        self._client = AsyncAnthropic(
            api_key=settings.anthropic_api_key,
            base_url=settings.anthropic_base_url,
            max_retries=0,
            timeout=60,
        )

    async def close(self) -> None:
        await self._client.close()

    async def write(self, system: str, messages: list[dict[str, str]], usage: Usage) -> AsyncIterator[str]:
        """The answer in pieces as Claude writes it.

        Raises ProviderFailed and its kinds, also in mid-stream.
        """
        arguments: Any = {
            "model": self.model,
            "max_tokens": 1500,
            "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
            "messages": messages,
        }
        async with _translated(), self._client.messages.stream(**arguments) as stream:
            async for text in stream.text_stream:
                yield text
            final = await stream.get_final_message()
        usage.message_id, usage.model = final.id, str(final.model)
        usage.tokens_in, usage.tokens_out = final.usage.input_tokens, final.usage.output_tokens
        if final.stop_reason == "refusal":
            raise ProviderFailed(NAME, "Claude declined to answer this message.")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    import anthropic
    import httpx2

    try:
        yield
    except anthropic.APITimeoutError as error:
        raise ProviderTimeout(NAME, "Claude did not answer in time.") from error
    except anthropic.APIStatusError as error:
        # An error event in mid-stream carries the status 200 of the stream it broke.
        if error.status_code == 200:
            kind = ProviderBusy if error.type in ("overloaded_error", "rate_limit_error") else ProviderFailed
            raise kind(NAME, f"Claude stopped in mid-answer ({error.type}).") from error
        raise of_status(NAME, error.status_code, f"Claude answered {error.status_code} ({error.type}).") from error
    except (anthropic.APIError, httpx2.TransportError) as error:
        raise ProviderFailed(NAME, "The connection to Claude failed.") from error
