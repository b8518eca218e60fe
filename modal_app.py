"""Everything that is deployed: `modal deploy modal_app.py`.

Read while deploying, from the environment and from .env: FORGE_ENGINE, as there is a GPU only with musetalk, and
FORGE_GPU.
"""

import modal
from dotenv import load_dotenv

from functions import FUNCTIONS, load
from shared.core.settings import Settings

load_dotenv()
app = modal.App("personaforge")
for name in FUNCTIONS:
    if name != "lipsync" or Settings.from_environment().forge_engine == "musetalk":
        app.include(load(name).app)
