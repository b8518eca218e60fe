"""Words of a text, in scripts with and without spaces between them, and the part of a text that is spoken."""

from __future__ import annotations

import re
import unicodedata

# Chinese and Japanese: a character stands for a word, with the marks that follow it.
_CJK = re.compile("[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
_CLOSING = "、。，．！？：；」』）】…ー"
# Thai, Lao, Burmese, Khmer: written without spaces; only a dictionary finds the words.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_CLUSTER = 8  # letters with their marks that are shown together there
_EMOJI = "\u2190"  # from here on, symbols are pictures
# What a word of a script with spaces has in letters of those without: by how long they take to be said.
_LETTERS = {"cjk": 1.7, "unspaced": 4.5}


def tokens(sentence: str) -> list[tuple[str, bool]]:
    """Each word of a sentence, and whether no space stands before it."""
    found: list[tuple[str, bool]] = []
    for part in sentence.split():
        first = True
        for text in _split(part):
            found.append((text, not first))
            first = False
    return found


def _split(part: str) -> list[str]:
    """Split what stands between two spaces into words; marks stay with their letters."""
    words: list[str] = []
    kind, letters = "", 0
    for one in part:
        now = "cjk" if _CJK.match(one) else "unspaced" if _UNSPACED.match(one) else "spaced"
        mark = unicodedata.category(one) in ("Mn", "Mc") or one in _CLOSING
        full = now == "cjk" or (now == "unspaced" and letters >= _CLUSTER)
        if words and (mark or (now == kind and not full)):
            words[-1] += one
        else:
            words.append(one)
            letters = 0
        if not mark:
            kind, letters = now, letters + 1
    return words


def count_words(text: str) -> int:
    """How many words a text in a script with spaces has that takes as long to say."""
    count = 0.0
    for word, _ in tokens(text):
        cjk, unspaced = len(_CJK.findall(word)), len(_UNSPACED.findall(word))
        count += cjk / _LETTERS["cjk"] if cjk else unspaced / _LETTERS["unspaced"] if unspaced else 1
    return round(count)


def speakable(text: str) -> str:
    """Without what a voice does not say: markup, stage directions, links, emoji, what cannot be seen."""
    text = "".join(one for one in text if not _is_unspoken(one))
    text = re.sub(r"\[[^\]]*\]|\([^)]*\)|https?://\S+", " ", text)
    text = re.sub(r"(?<!\w)[\u200c\u200d]|[\u200c\u200d](?!\w)", "", text)
    return re.sub(r"\s+", " ", re.sub(r"[*_#`|~<>]+|-{2,}", " ", text)).strip()


def _is_unspoken(one: str) -> bool:
    kind = unicodedata.category(one)
    if kind in ("So", "Sk"):
        return one >= _EMOJI
    return (kind in ("Cf", "Cs", "Co", "Cn") and one not in "\u200c\u200d") or one in "\ufe0e\ufe0f"
