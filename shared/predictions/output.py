"""What a prediction made, kept in our storage: its output, signed last, with captions and poster."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from shared.core.errors import NotFound
from shared.core.store import Store
from shared.predictions.outcome import Outcome
from shared.predictions.prediction import Prediction
from shared.predictions.provenance import SIGNABLE, NotSigned, Signer, manifest
from shared.predictions.receipt import Receipt

log = logging.getLogger("personaforge.output")
_ENDINGS = {"video/mp4": "mp4", "video/webm": "webm", "audio/mp4": "m4a", "image/png": "png"}
_SIGNED_AT_ONCE = 10  # by one pass of the schedule


@dataclass(frozen=True)
class Output:
    """Paths of the files, and the receipt that tells of them."""

    file: str
    captions: str | None
    poster: str | None
    receipt: Receipt

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(path for path in (self.file, self.captions, self.poster) if path)


def succeeded(kept: Output, text: str | None = None, **more: Any) -> Outcome:
    """The outcome of a prediction whose output is kept. more: as Outcome has it."""
    return Outcome(
        "succeeded", output=kept.file, captions=kept.captions, poster=kept.poster, text=text, receipt=kept.receipt,
        files=kept.files, **more,
    )  # fmt: skip


class Outputs:
    """Keeps them, and signs later what could not be signed at once."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store, self._signer = store, signer

    async def keep(
        self,
        prediction: Prediction,
        data: bytes,
        kind: str,
        receipt: Receipt,
        *,
        captions: str | None = None,
        poster: bytes | None = None,
    ) -> Output:
        """Sign and upload all files, or leave none. kind: content type of `data`. poster: a JPEG."""
        data, provenance = await self.signed(prediction, data, kind, receipt)
        path, owner = f"{prediction.owner}/{uuid4().hex}", prediction.owner
        contents = {f"{path}.{_ENDINGS[kind]}": (data, kind)}
        if captions is not None:
            contents[f"{path}.vtt"] = (captions.encode(), "text/vtt")
        if poster is not None:
            contents[f"{path}.poster.jpg"] = (poster, "image/jpeg")
        uploads = await asyncio.gather(
            *(self._store.put(name, *content, owner=owner) for name, content in contents.items()),
            return_exceptions=True,
        )
        if errors := [error for error in uploads if error]:
            await self._store.remove(*contents)
            raise errors[0]
        return Output(
            f"{path}.{_ENDINGS[kind]}",
            f"{path}.vtt" if captions is not None else None,
            f"{path}.poster.jpg" if poster is not None else None,
            receipt.model_copy(update={"provenance": provenance, "bytes": len(data)}),
        )

    async def signed(
        self, prediction: Prediction, data: bytes, kind: str, receipt: Receipt
    ) -> tuple[bytes, Literal["signed", "failed"] | None]:
        """With a manifest, where there are certificates and the kind takes one; and what became of it."""
        if not self._signer.on or kind not in SIGNABLE:
            return data, None
        try:
            return await self._signed(prediction, data, kind, receipt), "signed"
        except NotSigned as error:
            log.error("the output of %s is delivered without its manifest", prediction.id, exc_info=error)
            return data, "failed"

    async def sign_later(self) -> int:
        """Sign in their places those that could not be signed; returns how many now are."""
        if not self._signer.on:
            return 0
        rows = await self._store.call("unsigned_predictions", {"p_limit": _SIGNED_AT_ONCE})
        done = 0
        for prediction in map(Prediction.from_row, rows):
            assert prediction.output
            assert prediction.receipt
            kind = next(kind for kind, ending in _ENDINGS.items() if prediction.output.endswith(ending))
            try:
                data = await self._store.get(prediction.output)
                data = await self._signed(prediction, data, kind, prediction.receipt)
            except (NotSigned, NotFound) as error:
                log.error("the output of %s cannot be signed yet", prediction.id, exc_info=error)
                continue
            await self._store.replace(prediction.output, data, kind)
            query = self._store.as_service().from_("predictions").select("published").eq("id", str(prediction.id))
            current = await self._store.rows(query)
            if not current:  # deleted meanwhile
                await self._store.remove(prediction.output)
                continue
            if current[0]["published"]:
                await self._store.publish(prediction.output)
            await self._store.call("note_signed", {"p_id": str(prediction.id), "p_bytes": len(data)})
            done += 1
        return done

    async def _signed(self, prediction: Prediction, data: bytes, kind: str, receipt: Receipt) -> bytes:
        return await asyncio.to_thread(self._signer.sign, data, manifest(prediction, receipt, kind))
