"""Drives the backend with the 2.0 beta of Replicate's Python client; prints what it saw as one JSON object."""

import json
import sys

import replicate

base_url, token, persona = sys.argv[1:]
client = replicate.Replicate(bearer_token=token, base_url=f"{base_url}/v1")
given = {"persona": persona, "say": "Driven from the beta."}

waited = client.predictions.create(version="personaforge/talk", input=given, prefer="wait=30")
made = client.models.predictions.create(model_owner="personaforge", model_name="talk", input=given)
seen = client.predictions.get(prediction_id=made.id)
while seen.status in ("starting", "processing"):
    seen = client.predictions.get(prediction_id=made.id)
waiting = client.predictions.create(version="talk", input=given, stream=True)
canceled = client.predictions.cancel(prediction_id=waiting.id)
listed = [one.id for one in client.predictions.list()]
try:
    client.predictions.get(prediction_id="nothing")
    missing = None
except replicate.NotFoundError as error:
    missing = error.status_code
print(
    json.dumps(
        {
            "waited": waited.status,
            "output": waited.output,
            "polled": seen.status,
            "canceled": canceled.status,
            "listed": made.id in listed,
            "missing": missing,
        }
    )
)
