"""The functions: one file each. This list is the only one; what is deployed, routed and tested is derived from it.

A container imports only its own function.
"""

from importlib import import_module
from types import ModuleType

ENDPOINTS = ("create_prediction", "prediction_status", "talk", "personas", "gallery", "webhooks", "projects", "billing")
FUNCTIONS = (*ENDPOINTS, "worker", "producer", "reconcile", "pregenerate", "payments", "analytics", "lipsync")


def load(name: str) -> ModuleType:
    """The module of one function."""
    return import_module(f"{__name__}.{name}")
