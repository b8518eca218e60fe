"""The functions: one file each. This list is the only one; what is deployed, routed and tested is derived from it.

A container imports only its own function.
"""

import gc
from importlib import import_module
from types import ModuleType

ENDPOINTS = ("create_prediction", "prediction_status", "talk", "personas", "gallery", "webhooks", "projects", "billing")
FUNCTIONS = (*ENDPOINTS, "worker", "producer", "reconcile", "pregenerate", "payments", "analytics", "lipsync")

# Imports make a hundred thousand objects that stay: to look through them for garbage halfway costs a start 50 ms.
gc.set_threshold(50_000, 20, 50)


def load(name: str) -> ModuleType:
    """The module of one function."""
    return import_module(f"{__name__}.{name}")
