"""Each hosted model of the catalogue, asked as its vendor documents it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from local.stack import Stack
from shared.core.settings import Settings
from shared.media.types import RATE
from shared.providers import catalogue
from shared.providers.catalogue import HostedModel
from shared.providers.job import wait
from shared.providers.replicate import Replicate

TONE = (np.sin(np.arange(RATE // 2) / 20) * 8000).astype(np.int16)
AT_REPLICATE = [one for one in catalogue.HOSTED if one.provider == "replicate"]


@pytest.mark.parametrize("model", AT_REPLICATE, ids=lambda one: one.name)
def test_a_model_takes_what_the_catalogue_gives_it_and_its_file_comes_back(
    stack: Stack, portrait_png: bytes, model: HostedModel
) -> None:
    """Its own names for picture and sound, its version where it has one, one address or a list of them."""

    async def run() -> bytes:
        replicate = Replicate(Settings(stack.settings))
        try:
            if model.kind == "lipsync":
                inputs = await replicate.lipsync_inputs(model, portrait_png, TONE)
            elif model.kind == "clip":
                picture = await replicate.upload(portrait_png, "frame.png")
                inputs = model.given(prompt="A harbour. <S>Hello.<E>", picture=picture)
            elif model.kind == "idle":
                picture = await replicate.upload(portrait_png, "frame.png")
                inputs = model.given(prompt="She listens.", picture=picture, last=picture)
            else:
                inputs = model.given(prompt="a friendly woman")
            return await wait(replicate, await replicate.start(model.call, inputs))
        finally:
            await replicate.close()

    made = asyncio.run(run())
    assert made.startswith(b"\x89PNG") if model.kind == "portrait" else made[4:8] == b"ftyp"
