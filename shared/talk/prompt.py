"""What Claude is told before it answers as a persona."""

from __future__ import annotations

from shared.core.store import Row

REMEMBERED = 20  # messages of the conversation that go into the next turn


def system(persona: Row) -> str:
    """The persona, and that its words will be heard, not read."""
    who = persona["description"].strip() or "Friendly, curious and clear."
    return (
        f"You are {persona['name']}. {who}\n\n"
        "You are speaking aloud, face to face with one person, on video. Answer as this persona, in the language "
        "you are spoken to. Begin with a short clause of two to four words, then go on in short spoken sentences. "
        "Usually two to four sentences are enough, unless you are asked for more. Write only the words to be "
        "said: no lists, no headings, no markup, no emoji, no stage directions."
    )


def conversation(earlier: list[Row], message: str) -> list[dict[str, str]]:
    """Earlier messages, oldest first, and the new one; roles alternate and the user begins, as Claude wants it."""
    turns: list[dict[str, str]] = []
    for row in [*earlier, {"role": "user", "content": message}]:
        if turns and turns[-1]["role"] == row["role"]:
            turns[-1]["content"] += f"\n{row['content']}"
        elif turns or row["role"] == "user":
            turns.append({"role": row["role"], "content": row["content"]})
    return turns
