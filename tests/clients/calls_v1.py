"""The calls that Replicate's Python client 1.x documents. Prints {name: null or what went wrong}."""

import asyncio
import io
import json
import sys
import wave

import replicate
from replicate.exceptions import ModelError, ReplicateError

base_url, token, persona = sys.argv[1:]
client = replicate.Client(api_token=token, base_url=base_url)
given = {"persona": persona, "say": "Driven from Python."}
TALK = "personaforge/talk"


def sound() -> io.BytesIO:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(48_000))
    data.seek(0)
    return data


def waiting():
    return client.predictions.create(version="talk", input=given, stream=True)


def run():
    # A file object where the address is https, as in a deployment; else the address.
    assert ".mp4" in str(client.run(TALK, input=given))


def run_by_version():
    assert ".mp4" in str(client.run(f"{TALK}:talk", input=given))


def run_without_waiting():
    assert ".mp4" in str(client.run(TALK, input=given, wait=False))


def run_for_an_address():
    assert ".mp4" in str(client.run(TALK, input=given, use_file_output=False))


def async_run():
    assert ".mp4" in str(asyncio.run(client.async_run(TALK, input=given)))


def run_of_what_fails():
    try:
        client.run(TALK, input={"persona": persona, "say": "\N{SMILING FACE WITH SMILING EYES}"})
    except ModelError as error:
        assert "spoken" in str(error)
    else:
        raise AssertionError("succeeded")


def run_with_a_wrong_input():
    try:
        client.run(TALK, input={"persona": persona})
    except ReplicateError as error:
        assert (error.status, "either" in error.detail) == (422, True)
    else:
        raise AssertionError("created")


def stream():
    text = "".join(str(event) for event in client.stream(TALK, input=given))
    assert text.strip().removesuffix("{}").strip() == given["say"], text


def create_by_model():
    assert client.predictions.create(model=TALK, input=given, stream=True).model == TALK


def create_by_version():
    assert waiting().status == "starting"


def create_positional():
    assert client.predictions.create("talk", given, stream=True).status == "starting"


def create_and_wait():
    assert client.predictions.create(version="talk", input=given, wait=30).status == "succeeded"


def create_for_a_model():
    assert client.models.predictions.create(TALK, input=given, stream=True).status == "starting"


def wait():
    made = client.predictions.create(model=TALK, input=given)
    made.wait()
    assert made.status == "succeeded"


def async_wait():
    async def waited():
        own = replicate.Client(api_token=token, base_url=base_url)  # a client keeps the loop of its first call
        made = await own.predictions.async_create(model=TALK, input=given)
        await made.async_wait()
        return made.status

    assert asyncio.run(waited()) == "succeeded"


def reload():
    made = waiting()
    made.reload()
    assert made.status == "starting"


def cancel():
    made = waiting()
    made.cancel()
    made.reload()
    assert (made.status, made.error) == ("canceled", None)


def cancel_by_id():
    assert client.predictions.cancel(waiting().id).status == "canceled"


def get():
    made = waiting()
    assert client.predictions.get(made.id).id == made.id


def get_of_nobody():
    try:
        client.predictions.get("nothing")
    except ReplicateError as error:
        assert error.status == 404
    else:
        raise AssertionError("found")


def output():
    made = client.models.predictions.create(TALK, input=given, wait=30)
    assert ".mp4" in made.output


def progress():
    made = client.predictions.create(model=TALK, input=given)
    seen = []
    while made.status in ("starting", "processing"):
        made.reload()
        seen += [made.progress.percentage] if made.progress else []
    assert all(0 < one <= 1 for one in seen)


def list_page():
    made = waiting()
    assert client.predictions.list().results[0].id == made.id


def paginate():
    seen = [one.id for page in replicate.paginate(client.predictions.list) for one in page]
    assert len(seen) == len(set(seen)) > 2


def models_get():
    assert client.models.get(TALK).name == "talk"


def models_list():
    assert {one.name for one in client.models.list()} >= {"talk", "portrait", "lipsync"}


def models_search():
    assert next(iter(client.models.search("lipsync"))).name == "lipsync"


def model_versions():
    model = client.models.get(TALK)
    assert [one.id for one in model.versions.list()] == [model.versions.get("talk").id] == ["talk"]


def account():
    assert client.accounts.current().type == "user"


def files():
    made = client.files.create(sound())
    assert client.files.get(made.id).size == made.size
    assert made.id in [one.id for one in client.files.list()]
    client.files.delete(made.id)


def file_as_input():
    assert ".mp4" in str(client.run("personaforge/lipsync", input={"persona": persona, "audio": sound()}))


def file_as_data():
    made = client.predictions.create(
        model="personaforge/lipsync", input={"persona": persona, "audio": sound()}, file_encoding_strategy="base64"
    )
    made.wait()
    assert made.status == "succeeded"


def webhook_secret():
    assert client.webhooks.default.secret().key.startswith("whsec_")


CALLS = [
    run, run_by_version, run_without_waiting, run_for_an_address, async_run, run_of_what_fails, run_with_a_wrong_input,
    stream, create_by_model, create_by_version, create_positional, create_and_wait, create_for_a_model, wait,
    async_wait, reload, cancel, cancel_by_id, get, get_of_nobody, output, progress, list_page, paginate, models_get,
    models_list, models_search, model_versions, account, files, file_as_input, file_as_data, webhook_secret,
]  # fmt: skip
found = {}
for call in CALLS:
    try:
        call()
        found[call.__name__] = None
    except Exception as error:
        found[call.__name__] = f"{type(error).__name__}: {error}"[:500]
print(json.dumps(found))
