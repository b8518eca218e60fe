"""Every model that there is: each file of this package that declares one."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from shared import models as package
from shared.core.errors import NotFound
from shared.models.model import Model
from shared.predictions.prediction import OWNER


@cache
def models() -> dict[str, Model]:
    """By name, in the order of their codes."""
    modules = [import_module(f"{package.__name__}.{one.name}") for one in pkgutil.iter_modules(package.__path__)]
    declared: list[Model] = [module.MODEL for module in modules if hasattr(module, "MODEL")]
    if len({model.code for model in declared}) != len(declared):
        raise ValueError("two models have the same code")
    return {model.name: model for model in sorted(declared, key=lambda model: model.code)}


def find(name: str) -> Model:
    """From 'talk', 'personaforge/talk' or 'personaforge/talk:latest'. Raises NotFound for models not ours."""
    owner, _, short = name.partition(":")[0].rpartition("/")
    if owner in ("", OWNER) and short in models():
        return models()[short]
    raise NotFound(f"There is no model {name[:80]!r}. There are {', '.join(f'{OWNER}/{one}' for one in models())}.")


def by_code(code: int) -> Model:
    """Of an id that we signed. Raises NotFound for a model that this deployment does not have."""
    for model in models().values():
        if model.code == code:
            return model
    raise NotFound("This prediction is of a model that is not deployed here.")
