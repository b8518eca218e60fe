"""The GPU's engine: frames a second and milliseconds to the first frame, by batch size, and where the time goes.

    uv run --no-sync python -m bench.lipsync [--json] [--device cuda] [--tiny] [--seconds 10]

On a GPU the published shapes with random weights, in fp16, eager and compiled; on a processor the same networks at
small width, in fp32 and eager, which says nothing of a GPU's speed. Needs torch (dependency group gpu). Arithmetic is
counted by torch, the chip's peak is measured by multiplying matrices in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    import torch
except ImportError:
    raise SystemExit("torch is not installed: uv run --group gpu python -m bench.lipsync (gigabytes)") from None
from torch.utils.flop_counter import FlopCounterMode

from bench.machine import parser, report
from local.portrait import draw
from shared.lipsync.musetalk.engine import MuseTalkEngine, placed
from shared.lipsync.musetalk.model import Config, MuseTalk
from shared.lipsync.picture import Picture, read_picture
from shared.media.types import RATE, Speech

SIZES = (1, 4, 8, 16, 32, 64)
_FULL = Config()
SMALL = Config(
    # The same ratios of widths as the real ones: the same tensors by name.
    unet={**_FULL.unet, "block_out_channels": (16, 32, 64, 64), "cross_attention_dim": 32, "norm_num_groups": 8},
    vae={**_FULL.vae, "block_out_channels": (8, 16, 32, 32), "norm_num_groups": 4},
    whisper={**_FULL.whisper, "d_model": 32, "encoder_attention_heads": 2, "encoder_ffn_dim": 64},
)


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--tiny", action="store_true", help="decode with TAESD")
    arguments.add_argument("--seconds", type=float, default=10.0, help="of speech in the streaming part")
    args = arguments.parse_args()
    gpu = args.device == "cuda"
    dtype = torch.float16 if gpu else torch.float32
    model = _random(_FULL if gpu else SMALL, args.tiny).to(args.device, dtype).eval().requires_grad_(False)
    model = model.to(memory_format=torch.channels_last)
    picture = read_picture(draw("a friendly woman with auburn hair", 512))
    sizes = SIZES if gpu else SIZES[:3]

    gflop = _gflop(model)
    peak = _peak(args.device, dtype)
    eager = {size: _speed(MuseTalkEngine(model, batches=(size,)), size) for size in sizes}
    drawn = (
        {size: _speed(MuseTalkEngine(model, batches=(size,), compiled=True), size) for size in sizes} if gpu else eager
    )
    best = max(drawn, key=lambda size: drawn[size])
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    engine = MuseTalkEngine(model, batches=(min(4, best), best), compiled=gpu)
    engine.warm()
    first_ms, streamed = _stream(engine, picture, args.seconds)
    steps = _steps(model, engine, picture, best)
    memory = torch.cuda.max_memory_allocated() / 2**30 if gpu else 0.0
    name = torch.cuda.get_device_name() if gpu else "processor, small width"
    speeds = [f"batch {size:>2}: eager {eager[size]:.1f} frames/s, drawn {drawn[size]:.1f}" for size in sizes]
    details = [
        f"{name}, {dtype}, torch {torch.__version__}",
        f"{gflop:.1f} GFLOP a frame; the chip's peak, measured: {peak / 1e12:.2f} TFLOP/s",
        *speeds,
        f"streaming {args.seconds:.0f} s: {streamed:.1f} frames/s, the first frame after {first_ms:.0f} ms (warm)",
        "of a batch: " + ", ".join(f"{step} {ms:.1f} ms" for step, ms in steps.items()),
        *([f"memory on the device: {memory:.2f} GiB"] if gpu else []),
    ]
    figures = {
        "device": name,
        "fps": round(drawn[best], 1),
        "batch": best,
        "stream_fps": round(streamed, 1),
        "first_frame_ms": round(first_ms, 1),
        "share_of_peak": round(drawn[best] * gflop * 1e9 / peak, 3),
        "speedup_over_eager": round(drawn[best] / max(eager.values()), 2) if gpu else None,
        "memory_gib": round(memory, 2) if gpu else None,
    }
    report(args, figures, details)


def _random(config: Config, tiny: bool) -> MuseTalk:
    torch.manual_seed(0)
    return MuseTalk(config, tiny=tiny)


def _inputs(model: MuseTalk, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    layers, width = model.whisper.config.encoder_layers + 1, model.whisper.config.d_model
    made = torch.randn(count, 8, 32, 32), torch.randn(count, 10 * layers, width)
    return made[0].to(model.device, model.dtype), made[1].to(model.device, model.dtype)


def _gflop(model: MuseTalk) -> float:
    """Of one frame, UNet and decoder."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.speak(*_inputs(model, 1))
    return float(counter.get_total_flops()) / 1e9


def _peak(device: str, dtype: torch.dtype) -> float:
    """FLOP a second of this chip on square matrices, the best of several runs."""
    side = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2.0 * side**3 / min(_seconds(lambda: left @ right, device) for _ in range(5))


def _seconds(work: Callable[[], Any], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _speed(engine: MuseTalkEngine, size: int) -> float:
    """Frames a second from latents and tokens to frames on the host, warm; batches asked for two at a time."""
    engine.warm()
    model, rounds = engine.model, 20 if engine.model.device.type == "cuda" else 3
    latents, tokens = _inputs(model, size)
    plane = torch.zeros(size, 512, 512, device=model.device)
    given = (
        latents, tokens, plane.to(torch.uint8), torch.zeros(size, 256, 256, 2, device=model.device, dtype=torch.uint8),
        placed(torch.tensor([161.0, 151.0, 351.0, 382.0]), 512).expand(size, -1, -1, -1).contiguous().to(model.device),
        plane + 0.5, torch.ones(size, device=model.device),
    )  # fmt: skip
    started = time.perf_counter()
    ahead = engine.device.submit(*given)
    for _ in range(rounds - 1):
        following = engine.device.submit(*given)
        list(ahead.result()())
        ahead = following
    list(ahead.result()())
    took = time.perf_counter() - started
    engine.device.close()
    torch.compiler.reset()  # torch keeps at most eight graphs of one function, and each batch size has its own
    return rounds * size / took


def _stream(engine: MuseTalkEngine, picture: Picture, seconds: float) -> tuple[float, float]:
    """Milliseconds from half a second of speech to the first frame (median of 5), and frames a second of a long one."""
    portrait = engine.prepare(picture, 512)
    lot = np.random.default_rng(0)
    sound = (lot.normal(size=round(seconds * RATE)) * 4000).astype(np.int16)
    firsts = []
    for _ in range(5):
        frames = portrait.session().render(Speech(sound[: RATE // 2]))
        started = time.perf_counter()
        next(frames)
        firsts.append((time.perf_counter() - started) * 1000)
        list(frames)
    session, started = portrait.session(), time.perf_counter()
    count = sum(1 for _ in session.render(Speech(sound))) + sum(1 for _ in session.finish())
    return statistics.median(firsts), count / (time.perf_counter() - started)


def _steps(model: MuseTalk, engine: MuseTalkEngine, picture: Picture, size: int) -> dict[str, float]:
    """Milliseconds by step for one batch, eager."""
    latents, tokens = _inputs(model, size)
    device = model.device.type
    sound = np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    predicted = latents[:, :4].contiguous()

    def unet() -> Any:
        return model.unet(latents, torch.zeros((), device=latents.device), tokens, return_dict=False)

    def decode() -> Any:
        coder = model.taesd if model.taesd is not None else model.vae
        return coder.decode(predicted, return_dict=False)

    works = {
        "prepare": lambda: engine.prepare(picture, 512),
        "hear 1 s": lambda: model.hear(sound),
        "unet": unet,
        "decode": decode,
    }
    found = {}
    with torch.inference_mode():
        for name, work in works.items():
            _seconds(work, device)
            found[name] = 1000 * min(_seconds(work, device) for _ in range(3))
    return found


if __name__ == "__main__":
    main()
