"""Claude writes: the answer's text as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shared.core import telemetry
from shared.core.errors import ProviderBusy, ProviderFailed, ProviderTimeout, of_status
from shared.core.settings import Settings

NAME = "anthropic"


@dataclass
class Usage:
    """Filled while the text streams."""

    message_id: str = ""
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0


class LanguageModel:
    """Messages API. One attempt only: a talk has one budget of time, and repeats are decided elsewhere."""

    def __init__(self, settings: Settings) -> None:
        from anthropic import AsyncAnthropic

        self.model = settings.anthropic_model
        self._client = AsyncAnthropic(
            api_key=settings.anthropic_api_key,
            base_url=settings.anthropic_base_url,
            max_retries=0,
            timeout=30,
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
        stop_reason = None
        async with _translated(), self._client.messages.stream(**arguments) as stream:
            async for event in stream:
                if event.type == "message_start":
                    usage.message_id, usage.model = event.message.id, str(event.message.model)
                    usage.tokens_in = event.message.usage.input_tokens
                elif event.type == "text":
                    usage.tokens_out += 1  # about; the exact number comes last
                    yield event.text
                elif event.type == "message_delta":
                    usage.tokens_out, stop_reason = event.usage.output_tokens, event.delta.stop_reason
            if stop_reason is None:
                raise ProviderFailed(NAME, "Claude's answer broke off.")
            if stop_reason == "refusal":
                raise ProviderFailed(NAME, "Claude declined to answer this message.")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    import anthropic
    import httpx2

    with telemetry.call(NAME, "messages"):
        try:
            yield
        except anthropic.APITimeoutError as error:
            raise ProviderTimeout(NAME, "Claude did not answer in time.") from error
        except anthropic.APIStatusError as error:
            # An error event in mid-stream carries the status 200 of the stream it broke.
            if error.status_code == 200:
                kind = ProviderBusy if error.type in ("overloaded_error", "rate_limit_error") else ProviderFailed
                raise kind(NAME, f"Claude stopped in mid-answer ({error.type}).") from error
            words, later = (
                f"Claude answered {error.status_code} ({error.type}).",
                error.response.headers.get("retry-after"),
            )
            raise of_status(NAME, error.status_code, words, later) from error
        except httpx2.TimeoutException as error:
            raise ProviderTimeout(NAME, "Claude stopped writing in mid-answer.") from error
        except (anthropic.APIError, httpx2.HTTPError) as error:
            raise ProviderFailed(NAME, "The connection to Claude failed.") from error
        except (ValueError, AssertionError, KeyError) as error:
            raise ProviderFailed(NAME, "Claude's answer is not what its interface promises.") from error
