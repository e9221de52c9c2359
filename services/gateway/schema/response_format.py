"""The shape that an answer must have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from services.gateway.schema.base import FunctionName, JsonObject, RequestModel


class TextFormat(RequestModel):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(RequestModel):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(RequestModel):
    """A JSON Schema."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    name: FunctionName
    description: str | None = None
    schema_: Annotated[JsonObject | None, Field(alias="schema")] = None
    """Absent: any JSON object."""
    strict: bool | None = None
    """True: the schema must be closed in every object, as OpenAI demands it."""


class JsonSchemaFormat(RequestModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
