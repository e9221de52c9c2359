"""A gateway in this process between a raw client and scripted services."""

import json
import logging
from pathlib import Path

import pytest

from chassis.testing import Running, running
from services.gateway.app import build
from services.gateway.journal import Journal
from tests.contract.told import Told
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, Peers, peers, settings


@pytest.fixture
async def scripted(tmp_path: Path):
    async with peers(tmp_path) as made:
        yield made


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "told.jsonl")


@pytest.fixture
async def gateway(scripted: Peers, told: Told):
    async with running("gateway", build, settings(scripted)) as service:
        yield service
    await see_sound_books(scripted, told)


@pytest.fixture
def client(gateway: Running, scripted: Peers, told: Told) -> Client:
    return Client(scripted.folder / "http.sock", KEY, told)


async def see_sound_books(scripted: Peers, told: Told) -> None:
    """Check of a gateway that has left what `capstan billing verify` checks where there is a ledger.

    I4: it told of no request twice and otherwise; I6: of each that began it knows how it ended, and so does billing if
    it is there; I8: clients were told what billing was.
    """
    assert scripted.billing.contradictions == []
    async with Journal.opened(scripted.folder / "journal.db", log=logging.getLogger("test")) as journal:
        assert journal.recovered_count == 0
        unshipped = {record.request_id: record.prompt_tokens for record in await journal.finished(10_000)}
    if "billing" in scripted.servers:
        assert unshipped == {}
    for line in map(json.loads, told.path.read_text().splitlines()):
        if line["request_id"] not in unshipped:
            usage = scripted.billing.events[line["request_id"]].usage
            said = (line["prompt_tokens"], line["completion_tokens"], line.get("cached_tokens", 0))
            assert said == (usage.prompt_tokens, usage.completion_tokens, usage.cached_prompt_tokens), line
