"""Everything that is deployed: `modal deploy modal_app.py`."""

import modal

from functions import (
    create_prediction,
    gallery,
    lipsync,
    models,
    personas,
    prediction_status,
    reconcile,
    talk,
    webhooks,
)

app = modal.App("personaforge")
for function in (create_prediction, prediction_status, talk, personas, gallery, models, webhooks, reconcile, lipsync):
    app.include(function.app)
