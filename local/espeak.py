"""espeak-ng, the laptop's voice: text to 16-bit sound with phonemes timed to the sample.

GPL-3, so it stays out of everything deployed and runs in the voice stand-in's own process.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from shared.media.types import Timing

_PHONEME, _WORD, _END = 7, 1, 0
_SYNCHRONOUS, _UTF8 = 2, 1
_RATE, _PITCH, _RANGE = 1, 3, 4


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class Spoken:
    """Mono 16-bit samples at `rate`, timed phonemes (IPA), and words as (first character, length, start)."""

    samples: NDArray[np.int16]
    rate: int
    phonemes: list[Timing]
    words: list[tuple[int, int, float]]


class Espeak:
    """The one espeak-ng of this process (the library is a singleton; calls are serialised)."""

    _lock = threading.Lock()
    _self: Espeak | None = None

    def __init__(self) -> None:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        # 2: give the sound to the callback and wait; 3: phoneme events, in IPA
        self._rate = library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 3)
        if self._rate <= 0:
            raise RuntimeError("espeak-ng did not start: its data folder is missing from espeakng-loader.")
        self._sound: list[bytes] = []
        self._events: list[tuple[int, int, int, int, str]] = []
        self._callback = _CALLBACK(self._receive)  # kept: the library only holds its address
        library.espeak_SetSynthCallback(self._callback)
        self._library = library

    @classmethod
    def shared(cls) -> Espeak:
        with cls._lock:
            cls._self = cls._self or cls()
        return cls._self

    def _receive(self, wave: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if wave and count > 0:
            self._sound.append(ctypes.string_at(wave, count * 2))
        index = 0
        while events[index].type != _END:
            event = events[index]
            name = event.id.string.decode("utf-8", "ignore") if event.type == _PHONEME else ""
            self._events.append((event.type, event.sample, event.text_position, event.length, name))
            index += 1
        return 0

    def speak(self, text: str, voice: str = "en-us", rate: int = 165, pitch: int = 50) -> Spoken:
        """Say `text`. rate in words a minute, pitch 0..100. Raises ValueError for a voice that is not there."""
        with self._lock:
            self._sound, self._events = [], []
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice called {voice!r}.")
            self._library.espeak_SetParameter(_RATE, rate, 0)
            self._library.espeak_SetParameter(_PITCH, pitch, 0)
            self._library.espeak_SetParameter(_RANGE, 60, 0)
            data = text.encode()
            code = self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
            if code != 0:
                raise RuntimeError(f"espeak-ng could not speak (code {code}).")
            self._library.espeak_Synchronize()
            samples = np.frombuffer(b"".join(self._sound), np.int16)
            events = self._events
        end = len(samples) / self._rate
        marks = [(name, at / self._rate) for kind, at, _, _, name in events if kind == _PHONEME]
        phonemes = [
            Timing(name, start, stop)
            for (name, start), (_, stop) in zip(marks, [*marks[1:], ("", end)], strict=True)
            if name.strip("_ :")
        ]
        words = [(at - 1, length, sample / self._rate) for kind, sample, at, length, _ in events if kind == _WORD]
        return Spoken(samples, self._rate, phonemes, words)
