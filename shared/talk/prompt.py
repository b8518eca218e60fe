"""What the language model gets before it answers as a persona."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from shared.core.store import Store
from shared.personas.persona import Persona
from shared.predictions.outcome import Message

if TYPE_CHECKING:
    from postgrest import AsyncPostgrestClient

REMEMBERED = 20  # messages of the conversation that go into the next turn


def system(persona: Persona) -> str:
    """The persona, and that its words will be heard, not read."""
    language = "the language you are spoken to"
    if persona.language:
        language = f"the language of the ISO 639-1 code {persona.language!r}, whatever you are spoken to in"
    who = persona.description.strip() or "Friendly, curious and clear."
    return (
        f"You are {persona.name}. {who}\n\n"
        "You are speaking aloud, face to face with one person, on video. Answer as this persona, in "
        f"{language}. Begin with a short clause of two to four words, then go on in short spoken sentences. "
        "Usually two to four sentences are enough, unless you are asked for more. Write only the words to be "
        "said: no lists, no headings, no markup, no emoji, no stage directions."
    )


async def recent_messages(store: Store, client: AsyncPostgrestClient, persona: UUID, owner: UUID) -> list[Message]:
    """The end of the conversation with a persona, oldest first."""
    query = client.from_("messages").select("role,content").eq("persona_id", str(persona)).eq("owner", str(owner))
    rows = await store.rows(query.order("id", desc=True).limit(REMEMBERED))
    return [Message(row["role"], row["content"]) for row in reversed(rows)]


def conversation(earlier: list[Message], message: str) -> list[dict[str, str]]:
    """Earlier messages, oldest first, and the new one; roles alternate and the user begins, as Claude wants it."""
    turns: list[dict[str, str]] = []
    for one in [*earlier, Message("user", message)]:
        if turns and turns[-1]["role"] == one.role:
            turns[-1]["content"] += f"\n{one.content}"
        elif turns or one.role == "user":
            turns.append({"role": one.role, "content": one.content})
    return turns
