"""The answers of `/v1/models`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Something that requests can name as their model."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """Its name."""
    object: Literal["model"] = "model"
    created: int
    """When it came to be, unix seconds."""
    owned_by: str
    """Whose it is."""
    parent: str | None = None
    """Of an adapter, the model that it adapts; left out for others."""


class ModelList(BaseModel):
    """All models that the key's project may use."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[Model]
    """The models."""


class ModelDeleted(BaseModel):
    """A model that is gone."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """Its name."""
    object: Literal["model"] = "model"
    deleted: Literal[True] = True
