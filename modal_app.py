"""Everything that is deployed: `modal deploy modal_app.py`."""

import modal

from functions import create_prediction, gallery, models, personas, prediction_status, reconcile, talk

app = modal.App("personaforge")
for function in (create_prediction, prediction_status, talk, personas, gallery, models, reconcile):
    app.include(function.app)
