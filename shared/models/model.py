"""What a model is: everything that the rest of the system may know of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.core.errors import InvalidInput
from shared.runners.hosted import Hosted
from shared.runners.runner import Runner

Need = Literal["persona", "portrait"]


class Input(BaseModel):
    """The base of every model's input. Unknown fields are ignored and named in the response's logs, as at Replicate."""

    model_config = ConfigDict(extra="ignore")
    other_names: ClassVar[frozenset[str]] = frozenset()  # of fields, as other models' clients call them
    files: ClassVar[tuple[str, ...]] = ()  # fields that hold the address of a file, or a data: URL


class InputWithPersona(Input):
    """The base of those that need a persona."""

    persona: UUID = Field(description="The persona's id.")


@dataclass(frozen=True)
class Model:
    """One model, declared in a file of its own as MODEL.

    code: stands in every id, so it is never changed or reused. needs and reserve (credits held at first; more are
    before more is bought) are also in the table `models`, where they are enforced, as is seconds: from its creation to
    its deadline, where its owner does not say.
    """

    name: str
    code: int
    input: type[Input]
    runner: Runner
    reserve: int
    output: Literal["video", "image"]
    needs: tuple[Need, ...] = ()
    seconds: int = 120
    streamable: bool = False  # a listener may open urls.stream
    in_gallery: bool = False

    @property
    def hosted(self) -> bool:
        """Whether it runs at a provider, whose job is part of its ids."""
        return isinstance(self.runner, Hosted)

    def read_input(self, value: Any) -> Input:
        """Check an input against the schema. Raises InvalidInput that names each wrong field."""
        try:
            return self.input.model_validate(value)
        except ValidationError as error:
            fields = [
                {"at": ".".join(["input", *map(str, one["loc"])]), "message": one["msg"].removeprefix("Value error, ")}
                for one in error.errors()
            ]
            detail = "; ".join(f"{field['at']}: {field['message']}" for field in fields)
            raise InvalidInput(detail, fields=fields) from error
