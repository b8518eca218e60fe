"""Everything that is deployed: `modal deploy modal_app.py`."""

import modal

from functions import FUNCTIONS, load

app = modal.App("personaforge")
for name in FUNCTIONS:
    app.include(load(name).app)
