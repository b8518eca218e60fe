"""The GPU engine's model on a processor, with random weights: the same arithmetic as written down, step by step."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; CI installs its CPU build")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from diffusers import AutoencoderTiny  # noqa: E402

from bench.lipsync import SMALL  # noqa: E402
from shared.core.errors import WeightsUnusable  # noqa: E402
from shared.lipsync.musetalk import weights  # noqa: E402
from shared.lipsync.musetalk.engine import to_hearing  # noqa: E402
from shared.lipsync.musetalk.model import Config, MuseTalk, fill  # noqa: E402
from shared.lipsync.picture import Picture, read_picture  # noqa: E402
from tests.support.musetalk_small import converted, published, speech  # noqa: E402

# Two states of the hearing, two tokens, three latents, and the mean red, green and blue of a face.
GOLDEN = [0.68044, 1.01187, 0.85875, 0.99996, -0.04325, -0.01110, 0.01723, 137.521, 106.246, 109.315]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files at small width, made by the real conversion."""
    return converted(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def model(folder: Path) -> MuseTalk:
    return MuseTalk.load(folder, SMALL)


@pytest.fixture(scope="module")
def picture(portrait_png: bytes) -> Picture:
    return read_picture(portrait_png)


def test_the_networks_have_the_published_shapes() -> None:
    """As many tensors and parameters as the published files hold; named as they are named there."""
    with torch.device("meta"):
        whole, little = MuseTalk(Config()), MuseTalk(SMALL)
    assert [len(one.state_dict()) for one in (whole.unet, whole.vae)] == [686, 248]
    assert sum(one.numel() for one in whole.unet.parameters()) == pytest.approx(849.95e6, rel=1e-4)
    assert tuple(whole.unet.state_dict()["conv_in.weight"].shape) == (320, 8, 3, 3)
    for name in ("unet", "vae", "whisper"):
        assert getattr(whole, name).state_dict().keys() == getattr(little, name).state_dict().keys()


def test_a_frame_costs_what_is_known_of_the_model() -> None:
    """798 GFLOP at full width, UNet and decoder, counted without weights."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        whole = MuseTalk(Config())
        latents, tokens = torch.zeros(1, 8, 32, 32), torch.zeros(1, 50, 384)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        whole.speak(latents, tokens)
    assert counter.get_total_flops() / 1e9 == pytest.approx(797.8, rel=0.005)


def test_half_precision_draws_the_same_face(folder: Path, model: MuseTalk) -> None:
    """fp16 beside fp32, though random weights exaggerate: hardly a value is off by more than one of 255."""
    half = MuseTalk.load(folder, SMALL, dtype=torch.float16)
    torch.manual_seed(3)
    latents, tokens = torch.randn(2, 8, 32, 32), torch.randn(2, 50, 32)
    with torch.inference_mode():
        different = (half.speak(latents.half(), tokens.half()) - model.speak(latents, tokens)).abs()
    assert different.max() <= 4
    assert (different > 1).float().mean() < 1e-3


def test_golden_values(model: MuseTalk) -> None:
    """What the plain reference gave when this was written: a change of the libraries' arithmetic shows here."""
    heard = plain_hearing(model, to_hearing(speech(0.5)))
    tokens = plain_tokens(heard, 12)
    at = np.arange(256)
    face = np.stack([np.add.outer(at, at) // 2, np.subtract.outer(at, at) % 256, np.full((256, 256), 90)], axis=-1)
    latent, faces = plain_faces(model, face, tokens[5:6])
    found = [heard[5, 2, 3], heard[20, 4, 30], tokens[7, 31, 12], tokens[11, 49, 31], *latent[0, ::3, 9, 17],
             *faces[0].reshape(-1, 3).mean(axis=0)]  # fmt: skip
    np.testing.assert_allclose(found[:7], GOLDEN[:7], atol=2e-4)
    np.testing.assert_allclose(found[7:], GOLDEN[7:], atol=0.05)


def test_published_files_are_converted_to_half_precision_and_loaded_whole(folder: Path) -> None:
    """Pickle, old names and the decoder of Whisper are gone; what is left loads strictly."""
    assert {file.name for file in folder.glob("*.safetensors")} >= {"unet.safetensors", "vae.safetensors"}
    from safetensors.torch import load_file

    heard = load_file(folder / "whisper.safetensors")
    assert {tensor.dtype for tensor in heard.values()} == {torch.float16}
    assert not any("decoder" in name for name in heard)
    assert any(".to_q." in name for name in load_file(folder / "vae.safetensors"))
    torch.manual_seed(7)
    before = MuseTalk(SMALL).unet.state_dict()["conv_in.weight"].half()
    assert torch.equal(load_file(folder / "unet.safetensors")["conv_in.weight"], before)


def test_the_small_decoder_is_a_setting(folder: Path) -> None:
    """TAESD in the VAE's place: its file is loaded strictly, and faces of the same kind come out."""
    from safetensors.torch import save_file

    torch.manual_seed(1)
    source = folder / "diffusion_pytorch_model.safetensors"
    save_file({name: one.contiguous() for name, one in AutoencoderTiny().state_dict().items()}, source)
    weights.taesd(source, folder)
    model = MuseTalk.load(folder, SMALL, tiny=True)
    with torch.inference_mode():
        faces = model.speak(torch.randn(1, 8, 32, 32), torch.randn(1, 50, 32))
    assert faces.shape == (1, 3, 256, 256)
    assert torch.equal(faces, faces.round())


def test_projections_that_were_convolutions_become_matrices(tmp_path: Path) -> None:
    """Older copies of the autoencoder keep attention as 1x1 convolutions."""
    from safetensors.torch import load_file, save_file

    _, vae, _ = published(tmp_path)
    older = {
        name: tensor[:, :, None, None].contiguous() if ".attentions." in name and tensor.ndim == 2 else tensor
        for name, tensor in load_file(vae).items()
    }
    save_file(older, vae)
    weights.vae(vae, tmp_path)
    fill(MuseTalk(SMALL).vae, tmp_path / "vae.safetensors")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "lacks 1 of"),
        ("surplus", "has too much"),
        ("shape", "of another shape"),
        ("cut", "is damaged"),
        ("gone", "is not there"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path: Path, folder: Path, damage: str, says: str) -> None:
    """The file, what is wrong with it, and the first tensor."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "unet.safetensors")
    file = tmp_path / "unet.safetensors"
    if damage == "missing":
        del tensors["conv_in.weight"]
    elif damage == "surplus":
        tensors["extra"] = torch.zeros(1)
    elif damage == "shape":
        tensors["conv_in.bias"] = torch.zeros(3)
    save_file(tensors, file)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "gone":
        file.unlink()
    with pytest.raises(WeightsUnusable, match=says) as error:
        MuseTalk.load(tmp_path, SMALL)
    assert "unet.safetensors" in error.value.detail


def test_a_file_from_the_hub_that_is_another_is_refused(tmp_path: Path) -> None:
    """Each has its checksum."""
    (tmp_path / "x").write_bytes(b"something else")
    weights.check(tmp_path / "x", hashlib.sha256(b"something else").hexdigest())
    with pytest.raises(WeightsUnusable, match="not the file that was expected"):
        weights.check(tmp_path / "x", weights.UNET.sha256)


# The reference: the same steps written slowly and plainly, sharing only the stock networks.


def plain_hearing(model: MuseTalk, samples: Any) -> Any:
    """Each 30 s by itself; all hidden states; as many steps as there is sound."""
    rows = []
    for start in range(0, len(samples), 480_000):
        features = model._mel(samples[start : start + 480_000], sampling_rate=16_000, return_tensors="np")
        with torch.no_grad():
            out = model.whisper(torch.tensor(features["input_features"]), output_hidden_states=True)
        states = [one[0].numpy() for one in out.hidden_states]
        rows += [np.stack([layer[step] for layer in states]) for step in range(1500)]
    return np.stack(rows[: int(len(samples) * 50 / 16_000)])


def plain_tokens(heard: Any, frames: int) -> Any:
    steps, layers, width = heard.shape
    place = np.zeros((10 * layers, width))
    for row in range(10 * layers):
        for column in range(0, width, 2):
            angle = row / 10000 ** (column / width)
            place[row, column], place[row, column + 1] = np.sin(angle), np.cos(angle)
    found = np.zeros((frames, 10 * layers, width))
    for frame in range(frames):
        for near in range(10):
            step = 2 * frame + near - 4
            for layer in range(layers):
                state = heard[step, layer] if 0 <= step < steps else np.zeros(width)
                found[frame, near * layers + layer] = state + place[near * layers + layer]
    return found


def plain_faces(model: MuseTalk, face: Any, tokens: Any) -> Any:
    """One frame after the other, from a 256x256 RGB face: uint8."""
    whole = torch.tensor(face.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1)
    hidden = whole.clone()
    hidden[:, :, 128:] = -1
    frames = []
    with torch.no_grad():
        latent = torch.cat([model.vae.encode(one).latent_dist.mode() * 0.18215 for one in (hidden, whole)], dim=1)
        for one in tokens:
            given = torch.tensor(one[None].astype(np.float32))
            predicted = model.unet(latent, torch.tensor(0), encoder_hidden_states=given).sample
            decoded = model.vae.decode(predicted / 0.18215).sample[0].numpy().transpose(1, 2, 0)
            frames.append(np.round(np.clip(decoded / 2 + 0.5, 0, 1) * 255).astype(np.uint8))
    return latent.numpy(), np.stack(frames)


def test_tokens_latents_and_faces_follow_the_plain_reference(model: MuseTalk, picture: Picture) -> None:
    """In fp32 on a processor: hearing, windows, places, latents, prediction and the uint8 face."""
    samples = to_hearing(speech(1.3))
    heard = model.hear(samples)
    expected = plain_hearing(model, samples)
    assert heard.shape == expected.shape == (65, 5, 32)
    np.testing.assert_allclose(heard.numpy(), expected, atol=2e-5)
    tokens = model.tokens(heard)
    np.testing.assert_allclose(tokens.numpy(), plain_tokens(expected, 33), atol=2e-5)
    face = cv2.resize(picture.bgr[:, :, ::-1], (256, 256))
    latents = model.latents(torch.from_numpy(np.ascontiguousarray(face.transpose(2, 0, 1))[None]))
    latent, faces = plain_faces(model, face, plain_tokens(expected, 3))
    np.testing.assert_allclose(latents.numpy(), latent, atol=2e-5)
    with torch.inference_mode():
        drawn = model.speak(latents.expand(3, -1, -1, -1), tokens[:3]).numpy().transpose(0, 2, 3, 1)
    assert np.array_equal(drawn, np.round(drawn))
    different = np.abs(drawn - faces.astype(float))
    assert different.max() <= 1
    assert (different > 0).mean() < 1e-3  # a value on the edge of rounding may fall to either side


def test_more_than_thirty_seconds_are_heard_in_segments(model: MuseTalk) -> None:
    """The second segment begins where the first ends; nothing is counted twice."""
    samples = np.random.default_rng(1).normal(size=31 * 16_000).astype(np.float32) * 0.1
    heard = model.hear(samples)
    assert heard.shape[0] == 31 * 50
    np.testing.assert_allclose(heard[1500:].numpy(), model.hear(samples[480_000:]).numpy(), atol=1e-5)
