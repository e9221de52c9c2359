"""The page of settings."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings, service_config
from tools.reference.settings import page, rows, settings_of


class Odd(ServiceSettings):
    model_config = service_config("odd")

    name: str
    """What it is called,
    over two | lines."""

    ratio: float | None = None
    """A share."""

    mode: Literal["fast", "slow"] = "fast"
    """How."""

    table: Mapping[str, int] = Field(default_factory=dict)
    """By name."""

    password: SecretStr = SecretStr("hidden")
    """Not for the page."""

    grace_s: float = 5.0
    """Other here."""


def test_a_row_gives_name_values_default_and_meaning_and_never_a_secret() -> None:
    assert rows("CAPSTAN_ODD_", Odd, ServiceSettings.model_fields) == [
        "| `CAPSTAN_ODD_GRACE_S` | number | `5.0` | Other here. |",
        "| `CAPSTAN_ODD_NAME` | text | **required** | What it is called, over two \\| lines. |",
        "| `CAPSTAN_ODD_RATIO` | number | unset | A share. |",
        "| `CAPSTAN_ODD_MODE` | `fast` or `slow` | `fast` | How. |",
        "| `CAPSTAN_ODD_TABLE` | table of text, whole number | empty | By name. |",
        "| `CAPSTAN_ODD_PASSWORD` | secret text | set | Not for the page. |",
    ]


def test_every_field_of_every_service_says_what_it_means() -> None:
    services = ["auth", "billing", "gateway", "inference", "jobs", "moderation", "ratelimit", "router"]
    nameless = [(s, name) for s in services for name, f in settings_of(s).model_fields.items() if not f.description]
    assert nameless == []
    assert "## gateway" in page(services)
