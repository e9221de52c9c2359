"""An operator enters payments and sets terms by a command; a mistyped amount or a second try costs nobody anything."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from services.billing import account_command, commands
from services.billing.settings import Settings

ORGANIZATION = "org-operated"


@pytest.fixture
def migrated(settings: Settings) -> Settings:
    assert asyncio.run(commands.migrate(settings)) == 0
    return settings


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return answer


def test_a_payment_is_entered_once_however_often_it_is_said(
    migrated: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert account_command.credit(["grant", ORGANIZATION, "25.50", "--id", "invoice-1"], migrated) == 0
    assert said(capsys)["granted_nanousd"] == "25500000000"
    assert account_command.credit(["grant", ORGANIZATION, "0.000000001"], migrated) == 0
    assert account_command.credit(["show", ORGANIZATION], migrated) == 0
    assert said(capsys)["granted_nanousd"] == "25500000001"
    assert account_command.credit(["grant", "org-another", "25.50", "--id", "invoice-1"], migrated) == 1
    assert "another grant has this id" in capsys.readouterr().err
    assert asyncio.run(commands.verify(migrated)) == 0


def test_terms_that_are_not_said_stay(migrated: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    organization = "org-terms"
    assert account_command.terms(["set", organization, "--max-exposure", "2"], migrated) == 0
    assert account_command.terms(["set", organization, "--prepaid"], migrated) == 0
    now = said(capsys)
    assert (now["prepaid"], now["max_exposure_nanousd"]) == (True, "2000000000")
    assert account_command.terms(["set", organization, "--postpaid"], migrated) == 0
    assert account_command.terms(["show", organization], migrated) == 0
    now = said(capsys)
    assert (now["prepaid"], now["max_exposure_nanousd"]) == (False, "2000000000")


@pytest.mark.parametrize("amount", ["", "x", "-1", "1e3", "1,5", "1.0000000001", "9000001", "١"])
def test_what_is_no_amount_is_refused(migrated: Settings, amount: str) -> None:
    with pytest.raises(SystemExit) as refused:
        account_command.credit(["grant", "org-refused", "--", amount], migrated)
    assert refused.value.code == 2
