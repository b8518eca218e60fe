"""The calls that the 2.0 beta of Replicate's Python client documents. Prints {name: null or what went wrong}."""

import io
import json
import sys
import wave

import replicate

base_url, token, persona = sys.argv[1:]
client = replicate.Replicate(bearer_token=token, base_url=f"{base_url}/v1")
given = {"persona": persona, "say": "Driven from the beta."}


def sound() -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(bytes(48_000))
    return data.getvalue()


def waiting():
    return client.predictions.create(version="talk", input=given, stream=True)


def run():
    assert ".mp4" in str(client.run("personaforge/talk", input=given))


def run_by_version():
    assert ".mp4" in str(client.run("personaforge/talk:talk", input=given))


def create_and_wait():
    assert client.predictions.create(version="personaforge/talk", input=given, prefer="wait=30").status == "succeeded"


def create_for_a_model():
    made = client.models.predictions.create(model_owner="personaforge", model_name="talk", input=given)
    while (seen := client.predictions.get(prediction_id=made.id)).status in ("starting", "processing"):
        pass
    assert seen.status == "succeeded", seen.error


def cancel():
    assert client.predictions.cancel(prediction_id=waiting().id).status == "canceled"


def get():
    made = waiting()
    assert client.predictions.get(prediction_id=made.id).id == made.id


def get_of_nobody():
    try:
        client.predictions.get(prediction_id="nothing")
    except replicate.NotFoundError as error:
        assert error.status_code == 404
    else:
        raise AssertionError("found")


def list_pages():
    made = waiting()
    assert made.id in [one.id for one in client.predictions.list()]


def list_since():
    made = waiting()
    assert made.id in [one.id for one in client.predictions.list(created_after=made.created_at)]


def models_list():
    assert len(list(client.models.list())) >= 3


def models_get():
    assert client.models.get(model_owner="personaforge", model_name="talk").name == "talk"


def models_search():
    assert next(iter(client.models.search(body="lipsync"))).name == "lipsync"


def versions_list():
    found = client.models.versions.list(model_owner="personaforge", model_name="talk")
    assert next(iter(found)).id == "talk"


def versions_get():
    found = client.models.versions.get(model_owner="personaforge", model_name="talk", version_id="talk")
    assert found.id == "talk"


def account():
    assert client.account.get().type == "user"


def files():
    made = client.files.create(content=sound())
    assert client.files.get(file_id=made.id).id == made.id
    assert made.id in [one.id for one in client.files.list()]
    client.files.delete(file_id=made.id)


def file_as_input():
    audio = io.BytesIO(sound())
    assert ".mp4" in str(client.run("personaforge/lipsync", input={"persona": persona, "audio": audio}))


def webhook_secret():
    assert client.webhooks.default.secret.get().key.startswith("whsec_")


def wrong_input():
    try:
        client.predictions.create(version="talk", input={"persona": persona})
    except replicate.UnprocessableEntityError as error:
        assert "either" in str(error)
    else:
        raise AssertionError("created")


CALLS = [
    run, run_by_version, create_and_wait, create_for_a_model, cancel, get, get_of_nobody, list_pages, list_since,
    models_list, models_get, models_search, versions_list, versions_get, account, files, file_as_input, webhook_secret,
    wrong_input,
]  # fmt: skip
found = {}
for call in CALLS:
    try:
        call()
        found[call.__name__] = None
    except Exception as error:
        found[call.__name__] = f"{type(error).__name__}: {error}"[:500]
print(json.dumps(found))
