"""The stages of a film, in order: scripts, a person's choice, voice, shots, film, a person's approval, publication."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import tempfile
import wave
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from shared.billing import prices
from shared.core.bounded import BoundedProcesses
from shared.core.errors import AudioUnusable, Conflict, ForgeError, NotFound, StoreUnavailable
from shared.core.store import Store
from shared.core.time import format_time
from shared.files import upload
from shared.lipsync.engine import PreparedPortrait
from shared.media.audio import decode_audio, encode_wav
from shared.media.types import RATE, Floats, Samples
from shared.personas import persona as personas
from shared.personas.persona import Persona
from shared.personas.voice import voice_of, voice_settings
from shared.predictions.heartbeat import Heartbeat, Heartbeats
from shared.predictions.provenance import NotSigned, Signer, describe, verdict
from shared.providers.firefly import Firefly
from shared.providers.pexels import Pexels
from shared.studio import checks, film, fonts, footage, loudness, music, thumbnail
from shared.studio.audience import Learned, learned
from shared.studio.captions import Captions
from shared.studio.production import Advance, Finish, Made, Next, Production, Wait
from shared.studio.project import WORDS_A_SECOND, Shape, credit
from shared.studio.publisher import Publisher
from shared.studio.ranking import Writer
from shared.studio.shots import Shot, plan
from shared.studio.voiceover import Voiceover, speak
from shared.studio.words import count_words, speakable
from shared.talk.captions import webvtt
from shared.talk.runtime import TalkRuntime

log = logging.getLogger("personaforge.studio")
SLOWEST, FASTEST = 1.2, 5.0  # words a second that a person could speak: a measurement beyond is wrong
SIZE = 1024  # pixels of the persona's square
ENOUGH_VOICES = 20  # voiceovers by which the speed of a voice is measured, the latest
Stage = Callable[[Production], Awaitable[Next]]


class NotDrawable(ForgeError):
    """Captions would show boxes."""

    code, status, title = "not_drawable", 422, "These captions cannot be drawn here"


class Studio:
    """What the stages work with."""

    def __init__(
        self,
        store: Store,
        runtime: TalkRuntime,
        heartbeats: Heartbeats,
        pexels: Pexels,
        signer: Signer,
        processes: BoundedProcesses,
        firefly: Firefly,
        publisher: Publisher,
    ) -> None:
        self._store, self._runtime, self._heartbeats, self._pexels = store, runtime, heartbeats, pexels
        self._signer, self._processes, self._firefly, self._publisher = signer, processes, firefly, publisher

    @property
    def stages(self) -> dict[str, Stage]:
        return {
            "scripts": self.scripts, "voice": self.voice, "shots": self.shots, "footage": self.footage,
            "film": self.film, "thumbnails": self.thumbnails, "review": self.review,
            "publish": self._publisher.publish,
        }  # fmt: skip

    async def scripts(self, production: Production) -> Next:
        """Three ranked scripts, then a person's choice; a rejection with its note begins another round."""
        decided = production.decided("script")
        if decided:
            return Advance("voice")
        if ("scripts", f"{production.project.round}/ranked") in production.results:  # the gate had closed
            return Wait("script")
        cast = await production.step("cast", "", 0, partial(self._cast, production))
        if production.project.input.music:
            await production.step("music", "", 0, partial(self._music, production, production.project.input.music))
        writer = Writer(
            production, self._runtime.language_model, Persona.model_validate(cast["persona"]), cast["words_a_second"]
        )
        known = await production.step("learned", _round(production), 0, partial(self._learned, production))
        ranked = await writer.ranked(Learned.model_validate(known))
        await production.step("scripts", f"{production.project.round}/ranked", 0, _made(ranked))
        return Wait("script")

    async def _cast(self, production: Production) -> Made:
        """Who tells the film, as they are now: a face or a voice that is changed later changes no film under way."""
        project = production.project
        persona = await personas.look_up(self._store, project.persona_id, project.owner)
        if persona is None:
            raise NotFound("The persona of this project was deleted. Begin another project with another one.")
        if persona.readable_face is None:
            raise Conflict(f"{persona.name} has no portrait that can speak. Give it another one, then retry.")
        path = f"{project.owner}/{uuid4().hex}.portrait"
        await self._put(production, path, await self._store.get(persona.required_portrait), "image/png")
        voice = voice_of(persona, self._runtime.text_to_speech.default_voice)
        told = persona.model_copy(update={"portrait": path, "idle": None, "thinking": None, "poster": None})
        speed = await self._measured_speed(production, voice)
        return Made({"persona": told.model_dump(mode="json"), "voice": voice, "words_a_second": speed}, 0.0, (path,))

    async def _learned(self, production: Production) -> Made:
        return Made((await learned(self._store, production.project.owner)).model_dump())

    async def _measured_speed(self, production: Production, voice: str) -> float:
        """Words a second of what this voice has spoken for this owner; a usual speed as long as that is nothing."""
        query = self._store.as_service().from_("steps").select("result").eq("stage", "voice")
        query = query.eq("owner", str(production.project.owner)).eq("result->>voice", voice)
        rows = await self._store.rows(query.order("ended_at", desc=True).limit(ENOUGH_VOICES))
        words, seconds = (sum(row["result"][name] for row in rows) for name in ("words", "spoken_s"))
        return round(min(FASTEST, max(SLOWEST, words / seconds)), 3) if seconds else WORDS_A_SECOND

    async def _music(self, production: Production, address: str) -> Made:
        """Decoded in a process that may be ended, and kept: an uploaded file goes after a day."""
        owner = production.project.owner
        data = await upload.read_of(self._store, owner, address)
        try:
            samples = await self._processes.run(decode_audio, data, music.LONGEST)
        except (TimeoutError, MemoryError) as error:
            raise AudioUnusable("Decoding this music takes too long or too much memory. Save it anew.") from error
        path = f"{owner}/{uuid4().hex}.music.wav"
        await self._put(production, path, await asyncio.to_thread(encode_wav, samples), "audio/wav")
        return Made({"sound": path, "seconds": round(len(samples) / RATE, 2)}, 0.0, (path,))

    async def voice(self, production: Production) -> Next:
        """The chosen script is spoken once; the film is as long as that."""
        sentences = [one["text"] for one in _chosen(production)]
        style = production.project.input.style
        drawn = style.captions != "none" or style.no_match == "card"
        if drawn and (lost := fonts.missing(" ".join(sentences))):
            raise NotDrawable(
                f"Captions cannot be drawn here: {lost[:20]}. Install a font with these letters, such as Noto's, and "
                "libfribidi, then retry; or begin a project whose style has no captions."
            )
        cast = await self._still_there(production)
        voice = self._runtime.text_to_speech
        cost = prices.elevenlabs(voice.model, sum(map(len, sentences)) + len(sentences))

        async def make() -> Made:
            settings = voice_settings(Persona.model_validate(cast["persona"]))
            spoken = await speak(voice, cast["voice"], settings, sentences)
            folder = f"{production.project.owner}/{uuid4().hex}"
            sound, timing = f"{folder}.wav", f"{folder}.json"
            await self._put(production, sound, await asyncio.to_thread(encode_wav, spoken.samples), "audio/wav")
            await self._put(production, timing, json.dumps(spoken.to_json()).encode(), "application/json")
            told = {
                "sound": sound, "timing": timing, "seconds": round(spoken.seconds, 3), "voice": cast["voice"],
                "words": count_words(" ".join(sentences)),
                "spoken_s": round(spoken.words[-1].end - spoken.words[0].start, 3) if spoken.words else 0.0,
            }  # fmt: skip
            return Made(told, cost, (sound, timing))

        await production.step("voice", _round(production), cost, make)
        return Advance("shots")

    async def shots(self, production: Production) -> Next:
        """Which picture is seen when."""
        spoken = await self._spoken(production)
        planned = plan(_chosen(production), spoken, with_footage=self._pexels.on)
        await production.step("shots", _round(production), 0, _made([shot.to_json() for shot in planned]))
        return Advance("footage")

    async def footage(self, production: Production) -> Next:
        """A clip for each shot that wants one, kept with its line of the ledger; none is shown twice.
        Where nothing fits the persona takes the shot, and the step says so."""
        used: set[int] = set()
        for shot in [Shot(**one) for one in production.of("shots", _round(production))]:
            if shot.kind == "clip":
                key = f"{_round(production)}/shot-{shot.number}"
                found = await production.step("footage", key, 0, partial(self._clip, production, shot, used))
                used |= {found["id"]} if "id" in found else set()
        return Advance("film")

    async def _clip(self, production: Production, shot: Shot, used: set[int]) -> Made:
        tall = production.project.input.shapes[0] == "tall"
        found = await footage.search(self._store, self._pexels, shot.footage, "portrait" if tall else "landscape")
        fetched = await footage.fetch(self._pexels, footage.ranked(found, shot, used), shot)
        if fetched is None:
            return Made({"no_match": shot.footage, "looked_at": len(found)})
        data, line = fetched
        path = f"{production.project.owner}/{uuid4().hex}.clip.mp4"
        await self._put(production, path, data, "video/mp4")
        return Made({**line, "file_path": path}, 0.0, (path,))

    async def film(self, production: Production) -> Next:
        """Every shot rendered and kept by itself, in all shapes at once; then joined, with the voice, and checked."""
        spoken, cast = await self._spoken(production), await self._still_there(production)
        shots = [Shot(**one) for one in production.of("shots", _round(production))]
        portrait = await self._portrait(Persona.model_validate(cast["persona"]))
        shapes, style = production.project.input.shapes, production.project.input.style
        captions = {
            shape: Captions(spoken.words, shape, *film.SIZES[shape], highlight=style.captions == "words")
            if style.captions != "none" else None
            for shape in shapes
        }  # fmt: skip
        frames = shots[-1].last
        for shot in shots:
            key = f"{_round(production)}/shot-{shot.number}"
            await production.step(
                "film", key, 0, partial(self._shot, production, shot, spoken, portrait, captions, frames)
            )
        for shape in shapes:
            key = f"{_round(production)}/{shape}"
            join = partial(self._join, production, shape, shots, spoken, captions[shape])
            await production.step("film", key, 0, join)
        return Advance("thumbnails")

    async def thumbnails(self, production: Production) -> Next:
        """Three that differ, to choose from when it is published."""
        shapes = production.project.input.shapes
        spoken, cast = await self._spoken(production), await self._still_there(production)
        persona = Persona.model_validate(cast["persona"])
        writer = Writer(production, self._runtime.language_model, persona, cast["words_a_second"])
        concepts = await writer.concepts(" ".join(one["text"] for one in _chosen(production)))
        if self._firefly.on:
            key = f"{_round(production)}/grounds"
            await production.step("thumbnails", key, 0, partial(self._grounds, production, concepts[0], shapes[0]))
        for number, concept in enumerate(concepts):
            make = partial(self._thumbnail, production, number, concept, shapes[0], spoken, persona)
            await production.step("thumbnails", f"{_round(production)}/{number}", 0, make)
        return Advance("review")

    async def _grounds(self, production: Production, concept: dict[str, str], shape: Shape) -> Made:
        """Painted by Firefly. What it does not give the film gives, and the step says why."""
        try:
            pictures = await self._firefly.pictures(concept["description"], shape, len(thumbnail.LAYOUTS))
        except ForgeError as error:
            log.warning("thumbnails of project %s are composed: %s", production.project.id, error.detail)
            return Made({"paths": [], "why": error.detail})
        paths = [f"{production.project.owner}/{uuid4().hex}.ground.png" for _ in pictures]
        for path, picture in zip(paths, pictures, strict=True):
            await self._put(production, path, picture, "image/png")
        return Made({"paths": paths}, 0.0, tuple(paths))

    async def _thumbnail(
        self,
        production: Production,
        number: int,
        concept: dict[str, str],
        shape: Shape,
        spoken: Voiceover,
        persona: Persona,
    ) -> Made:
        from shared.media.image import decode

        portrait = await self._portrait(persona)
        of_round = f"{_round(production)}/"
        paths = [
            one["file_path"] for (stage, key), one in sorted(production.results.items())
            if stage == "footage" and key.startswith(of_round) and "file_path" in one
        ]  # fmt: skip
        grounds = production.results.get(("thumbnails", f"{of_round}grounds"), {}).get("paths") or []
        ground = decode(await self._store.get(grounds[number])) if len(grounds) > number else None
        clip = await self._store.get(paths[number % len(paths)]) if paths and ground is None else None

        def compose() -> bytes:
            told = film.picture(film.presented(portrait, spoken.stretch(0, 1), film.SPEAKING), film.SPEAKING)
            shown = film.picture(film.clip_frames(clip, film.SPEAKING), film.SPEAKING) if clip else ground
            return thumbnail.compose(thumbnail.LAYOUTS[number], shape, concept["words"], told, shown)

        picture = await asyncio.to_thread(compose)
        path = f"{production.project.owner}/{uuid4().hex}.thumbnail.jpg"
        await self._put(production, path, picture, "image/jpeg")
        return Made({**concept, "picture": path}, 0.0, (path,))

    async def review(self, production: Production) -> Next:
        """A person sees the film beside its report. Where it is to be published, that is next."""
        shapes = production.project.input.shapes
        if ("film", f"{_round(production)}/{shapes[0]}") not in production.results:  # rejected: another round
            return Advance("scripts")
        if production.decided("film") is None:
            return Wait("film")
        made = {shape: production.of("film", f"{_round(production)}/{shape}") for shape in shapes}
        of_round = f"{_round(production)}/"
        lines = [
            one for (stage, key), one in production.results.items()
            if stage == "footage" and key.startswith(of_round) and "id" in one
        ]  # fmt: skip
        pictures = [production.of("thumbnails", f"{of_round}{number}") for number in range(len(thumbnail.LAYOUTS))]
        seconds = production.of("voice", _round(production))["seconds"]
        credits = [credit(one) for one in lines]
        output = {"films": made, "seconds": seconds, "credits": credits, "thumbnails": pictures}
        wanted = production.decisions["film", production.project.round].payload.get("publish")
        return Advance("publish", output) if wanted else Finish(output)

    async def _shot(
        self,
        production: Production,
        shot: Shot,
        spoken: Voiceover,
        portrait: PreparedPortrait,
        captions: dict[Shape, Captions | None],
        frames: int,
    ) -> Made:
        """Rendered in a thread; how far it is goes out with the heartbeats."""
        done = 0

        def told(count: int) -> None:
            nonlocal done
            done = count

        async def beat() -> None:
            while True:
                at = shot.first + done
                logs = f"{100 * at // frames}%|{'#' * (20 * at // frames):<20}| {at}/{frames} frames\n"
                await self._heartbeats.send(production.project.id, Heartbeat("processing", None, logs))
                await asyncio.sleep(1)

        line = _line(production, shot)
        style = production.project.input.style
        clip = await self._store.get(line["file_path"]) if "file_path" in line else None

        as_card = clip is None and shot.kind == "clip" and style.no_match == "card"
        shown = shot if clip is not None else replace(shot, kind="presenter")  # what is no footage is not cropped

        def render(folder: Path) -> dict[Shape, bytes]:
            count = shot.last - shot.first
            presented = film.presented(portrait, spoken.stretch(shot.start, shot.end), count)
            if as_card:
                bare: dict[Shape, Captions | None] = dict.fromkeys(captions)  # the card says it
                made = film.render_shot(film.still_frames(film.card(shot.text), count), shown, bare, folder, told)
            elif clip is None:
                made = film.render_shot(presented, shown, captions, folder, told)
            else:  # all of it was decoded when it was fetched
                drawn = film.clip_frames(clip, count)
                made = film.render_shot(
                    drawn, shot, captions, folder, told, presented if style.presenter == "corner" else None
                )
            return {one: path.read_bytes() for one, path in made.items()}

        beating = asyncio.create_task(beat())
        try:
            with tempfile.TemporaryDirectory() as folder:
                rendered = await asyncio.to_thread(render, Path(folder))
        finally:
            beating.cancel()
        name = f"{production.project.owner}/{uuid4().hex}"
        paths = {shape: f"{name}.{shape}.mp4" for shape in rendered}
        for shape, data in rendered.items():
            await self._put(production, paths[shape], data, "video/mp4")
        footage_of = {"card": True} if as_card else {} if clip is None else {"clip": hashlib.sha256(clip).hexdigest()}
        return Made({**paths, **footage_of}, 0.0, tuple(paths.values()))

    async def _join(
        self, production: Production, shape: Shape, shots: list[Shot], spoken: Voiceover, captions: Captions | None
    ) -> Made:
        """One film of all shots, its sound encoded once; signed, then checked as it is kept."""
        rendered = {one.number: production.of("film", f"{_round(production)}/shot-{one.number}") for one in shots}
        data = await asyncio.gather(*(self._store.get(one[shape]) for one in rendered.values()))
        kept = production.results.get(("music", ""))
        under = await self._sound(kept["sound"]) if kept else None
        clips = {number: one["clip"] for number, one in rendered.items() if "clip" in one}
        lines = {one.number: _line(production, one) for one in shots}
        ledger = {number: line["sha256"] for number, line in lines.items() if "sha256" in line}

        def join() -> tuple[bytes, list[checks.Check]]:
            with tempfile.TemporaryDirectory() as folder:
                files = [Path(folder, f"{number}.mp4") for number in range(len(data))]
                for file, piece in zip(files, data, strict=True):
                    file.write_bytes(piece)
                target = Path(folder, "film.mp4")
                sound = _at_48_khz(spoken.samples)
                if under is not None:
                    sound = music.mixed(sound, _at_48_khz(under), spoken.words)
                film.joined(files, loudness.brought_to(sound), target)
                provenance = self._signed(production, target, composite=bool(clips))
                cards = [number for number, one in rendered.items() if one.get("card")]
                report = checks.check(target, shape, spoken, shots, captions, clips, ledger, provenance, cards)
                return target.read_bytes(), report

        joined, report = await asyncio.to_thread(join)
        name = f"{production.project.owner}/{uuid4().hex}"
        video, words = f"{name}.mp4", f"{name}.vtt"
        await self._put(production, video, joined, "video/mp4")
        await self._put(production, words, webvtt(spoken.characters).encode(), "text/vtt")
        told = {"video": video, "captions": words, "report": [one.to_json() for one in report]}
        return Made(told, 0.0, (video, words))

    def _signed(self, production: Production, file: Path, *, composite: bool) -> str:
        """Sign the film in its place; returns what C2PA says of it then, or why it is not signed."""
        if not self._signer.on:
            return ""
        persona = Persona.model_validate(production.of("cast")["persona"])
        models = [self._runtime.language_model.model, self._runtime.text_to_speech.model, self._runtime.engine.name]
        told: dict[str, Any] = {"project": str(production.project.id), "persona": str(persona.id), "models": models}
        if persona.consent_at:
            told["consent"] = {"persona": str(persona.id), "at": format_time(persona.consent_at)}
        composite = composite or persona.consent_at is not None
        what = describe("personaforge film", "video/mp4", told, models, composite=composite)
        try:
            data = self._signer.sign(file.read_bytes(), what)
        except NotSigned as error:
            log.error("the film of project %s has no manifest", production.project.id, exc_info=error)
            return error.detail
        file.write_bytes(data)
        return verdict(data, "video/mp4")

    async def _still_there(self, production: Production) -> dict[str, Any]:
        """The cast. Raises NotFound once the persona is deleted: with it goes the consent to show its face."""
        project = production.project
        if await personas.look_up(self._store, project.persona_id, project.owner) is None:
            raise NotFound("The persona of this project was deleted. Begin another project with another one.")
        cast: dict[str, Any] = production.of("cast")
        return cast

    async def _portrait(self, persona: Persona) -> PreparedPortrait:
        from shared.lipsync.picture import Picture
        from shared.media.image import decode

        face = persona.readable_face
        assert face, "the cast has one"
        data = await self._store.get(persona.required_portrait)
        engine, style = self._runtime.engine, persona.style
        return await asyncio.to_thread(lambda: engine.prepare(Picture(decode(data), face), SIZE, style))

    async def _spoken(self, production: Production) -> Voiceover:
        kept = production.of("voice", _round(production))
        samples, timing = await asyncio.gather(self._sound(kept["sound"]), self._store.get(kept["timing"]))
        return Voiceover.from_json(samples, json.loads(timing))

    async def _sound(self, path: str) -> Samples:
        with wave.open(BytesIO(await self._store.get(path))) as file:
            return np.frombuffer(file.readframes(file.getnframes()), np.int16)

    async def _put(self, production: Production, path: str, data: bytes, kind: str) -> None:
        """What was bought or rendered is not lost with one refusal of storage."""
        noted = self._store.as_service().from_("files").select("path").eq("path", path)
        try:
            await self._store.put(path, data, kind, owner=production.project.owner)
        except StoreUnavailable:
            for pause in (0.5, 2.0, 8.0):
                await asyncio.sleep(pause)
                with suppress(StoreUnavailable):
                    if await self._store.rows(noted):  # what may have arrived is written again
                        await self._store.replace(path, data, kind)
                    else:
                        await self._store.put(path, data, kind, owner=production.project.owner)
                    return
            raise


def _made(result: Any) -> Callable[[], Awaitable[Made]]:
    async def make() -> Made:
        return Made(result)

    return make


def _round(production: Production) -> str:
    return str(production.project.round)


def _line(production: Production, shot: Shot) -> dict[str, Any]:
    """Of the ledger: the clip that was found for a shot; empty where the persona takes it."""
    found: dict[str, Any] = production.results.get(("footage", f"{_round(production)}/shot-{shot.number}"), {})
    return found if "id" in found else {}


def _chosen(production: Production) -> list[dict[str, Any]]:
    """The sentences of the script that a person approved, as they left them."""
    number = production.project.round
    while (decided := production.decisions.get(("script", number))) is None or decided.decision != "approve":
        number -= 1
    ranked = production.of("scripts", f"{number}/ranked")
    script = next(one for one in ranked if one["id"] == decided.payload["script"])
    edited = decided.payload.get("sentences")
    if not isinstance(edited, list):
        found: list[dict[str, Any]] = script["sentences"]
        return found
    footage = {one["text"]: one["footage"] for one in script["sentences"]}
    said = [(str(text), speakable(str(text))) for text in edited]
    return [{"text": text, "footage": footage.get(given, "")} for given, text in said if text]


def _at_48_khz(samples: Samples) -> Floats:
    places = np.arange(len(samples) * loudness.RATE // RATE) * (RATE / loudness.RATE)
    heard: Floats = np.interp(places, np.arange(len(samples)), samples / 32768).astype(np.float32)
    return heard
