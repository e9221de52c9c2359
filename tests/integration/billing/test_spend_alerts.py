"""Spend alerts and limits: who is told that a threshold was reached, and that it is once."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from capstan.billing.v1 import budgets_pb2
from chassis.errors import CapstanError, Reason
from chassis.postgres import pool
from chassis.tenancy import Tenancy
from services.billing.alerts import PAUSES_S, Alerts
from services.billing.budget_store import BudgetStore
from services.billing.budgets import Alert, Limit
from services.billing.webhook import Webhook, secret_of, signature
from tests.integration.billing.conftest import NOON, Books, ask, usage_event

SECRET = "whsec_" + "c2VjcmV0" * 4
TURN = NOON.replace(month=12, day=1, hour=0)


async def test_alerts_are_kept_listed_changed_and_taken_away(books: Books, organization_id: str) -> None:
    alert = budgets_pb2.SpendAlert(
        organization_id=organization_id, threshold_nanousd=5, recipients=["a@example.com"], subject_prefix="Oh"
    )
    made = (await ask(books, "CreateSpendAlert", alert=alert)).alert
    assert made.alert_id.startswith("alert_")
    made.threshold_nanousd = 6
    assert (await ask(books, "UpdateSpendAlert", alert=made)).alert == made
    assert list((await ask(books, "ListSpendAlerts", organization_id=organization_id)).alerts) == [made]
    stranger = {"organization_id": "org-stranger", "alert_id": made.alert_id}
    with pytest.raises(CapstanError) as refused:
        await ask(books, "DeleteSpendAlert", **stranger)
    assert refused.value.reason is Reason.OBJECT_NOT_FOUND
    await ask(books, "DeleteSpendAlert", **(stranger | {"organization_id": organization_id}))
    assert list((await ask(books, "ListSpendAlerts", organization_id=organization_id)).alerts) == []


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told; answers with the next of `statuses`, then 200."""

    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.told.append((dict(self.headers.items()), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class Server(HTTPServer):
    told: list[tuple[dict[str, str], bytes]]
    statuses: list[int]


@pytest.fixture
def receiver() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Receiver)
    server.told, server.statuses = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_threshold_is_told_once_signed_and_again_after_a_failure(
    books: Books, organization_id: str, receiver: Server, caplog: pytest.LogCaptureFixture
) -> None:
    secret = secret_of(SECRET)
    webhook = Webhook(f"http://127.0.0.1:{receiver.server_port}/hook", secret)
    alert = budgets_pb2.SpendAlert(organization_id=organization_id, threshold_nanousd=27_000, recipients=["x@y"])
    await ask(books, "CreateSpendAlert", alert=alert)
    await ask(books, "SetSpendLimit", organization_id=organization_id, hard_nanousd=50_000)
    now = [NOON]
    async with pool(books.settings.database(), application_name="alerts") as connections:
        tenancy = Tenancy(connections, "billing")
        looking = [Alerts(tenancy, webhook, now=lambda: now[0], log=logging.getLogger("test")) for _ in range(3)]

        async def look() -> None:
            await asyncio.gather(*(one.look() for one in looking))

        await look()
        mine = f'"{organization_id}"'.encode()
        assert not any(mine in body for _, body in receiver.told)
        receiver.statuses = [500]
        await books.ingest(usage_event("a1", organization_id=organization_id))
        await look()
        await look()
        told = [one for one in receiver.told if mine in one[1]]
        assert len(told) == 1
        now[0] += timedelta(seconds=PAUSES_S[0] + 1)
        await look()
        told = [one for one in receiver.told if mine in one[1]]
        assert len(told) == 2
        headers, body = {name.lower(): value for name, value in told[1][0].items()}, told[1][1]
        said = json.loads(body)
        assert (said["type"], said["data"]["threshold_nanousd"]) == ("spend_alert.reached", "27000")
        assert headers["webhook-signature"] == signature(
            secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body
        )
        assert headers["webhook-id"] == told[0][0].get("webhook-id")
        await books.ingest(usage_event("a2", organization_id=organization_id))
        await look()
        now[0] += timedelta(hours=1)
        await look()
        kinds = [json.loads(body)["type"] for _, body in receiver.told if mine in body]
        assert kinds == ["spend_alert.reached", "spend_alert.reached", "spend_limit.reached"]


class Watcher:
    """Looks at spending at times of the test's own, and keeps what its organisation was told."""

    def __init__(self, tenancy: Tenancy, receiver: Server, organization_id: str) -> None:
        self._receiver = receiver
        self.budgets_in_december = BudgetStore(tenancy, lambda: TURN + timedelta(seconds=5))
        self._organization_id = organization_id
        self._now = NOON
        webhook = Webhook(f"http://127.0.0.1:{receiver.server_port}/hook", secret_of(SECRET))
        self._alerts = Alerts(tenancy, webhook, now=lambda: self._now, log=logging.getLogger("test"))

    async def look(self, now: datetime) -> None:
        """Look as if it were `now`."""
        self._now = now
        await self._alerts.look()

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Kind, month and threshold of each message."""
        said = [json.loads(body) for _, body in self._receiver.told]
        return [
            (each["type"], each["data"]["period"], each["data"]["threshold_nanousd"])
            for each in said
            if each["data"]["organization_id"] == self._organization_id
        ]


@pytest.fixture
async def watcher(books: Books, receiver: Server, organization_id: str) -> AsyncIterator[Watcher]:
    async with pool(books.settings.database(), application_name="alerts") as connections:
        yield Watcher(Tenancy(connections, "billing"), receiver, organization_id)


async def test_a_threshold_that_is_reached_in_a_months_last_seconds_is_told_in_the_next_one(
    books: Books, watcher: Watcher, organization_id: str
) -> None:
    """A request belongs to the month in which it began, and is posted when it has ended, or much later."""
    alert = budgets_pb2.SpendAlert(organization_id=organization_id, threshold_nanousd=27_000, recipients=["x@y"])
    await ask(books, "CreateSpendAlert", alert=alert)
    await watcher.look(TURN - timedelta(seconds=1))
    await watcher.look(TURN + timedelta(seconds=3))
    late = {"start_time": TURN - timedelta(seconds=20), "finish_time": TURN + timedelta(seconds=2)}
    await books.ingest(usage_event("turn", organization_id=organization_id, **late))
    await watcher.look(TURN + timedelta(seconds=8))
    await watcher.look(TURN + timedelta(days=1))
    assert watcher.told == [("spend_alert.reached", "2026-11", "27000")]


async def test_a_threshold_that_is_set_now_says_nothing_of_the_month_before(
    books: Books, watcher: Watcher, organization_id: str
) -> None:
    alert = budgets_pb2.SpendAlert(organization_id=organization_id, threshold_nanousd=10**9, recipients=["x@y"])
    made = (await ask(books, "CreateSpendAlert", alert=alert)).alert
    await books.ingest(usage_event("november", organization_id=organization_id))
    now = TURN + timedelta(seconds=5)
    changed = Alert(made.alert_id, organization_id, "", 1, ("x@y",), "", now)
    await watcher.budgets_in_december.update_alert(changed)
    await watcher.budgets_in_december.create_alert(replace(changed, alert_id=made.alert_id + "2"))
    await watcher.budgets_in_december.set_limit(organization_id, "", Limit(2, 1))
    await watcher.look(TURN + timedelta(seconds=10))
    fired = "select count(*) from billing.alert_firings where organization_id = $1"
    assert await books.value(fired, organization_id) == 0
    await ask(books, "SetSpendLimit", organization_id=organization_id)


async def test_a_limit_that_is_changed_is_told_of_when_it_is_reached_again(
    books: Books, watcher: Watcher, organization_id: str
) -> None:
    limits = {"hard_nanousd": 27_000, "soft_nanousd": 20_000}
    await ask(books, "SetSpendLimit", organization_id=organization_id, **limits)
    await books.ingest(usage_event("l1", organization_id=organization_id))
    await watcher.look(NOON)
    limits["hard_nanousd"] = 54_000
    await ask(books, "SetSpendLimit", organization_id=organization_id, **limits)
    await watcher.look(NOON + timedelta(seconds=5))
    reached = [("spend_limit.reached", "2026-11", "27000"), ("spend_limit.soft_reached", "2026-11", "20000")]
    assert sorted(watcher.told) == reached
    await books.ingest(usage_event("l2", organization_id=organization_id))
    await watcher.look(NOON + timedelta(seconds=10))
    assert sorted(watcher.told) == sorted([*reached, ("spend_limit.reached", "2026-11", "54000")])
    await ask(books, "SetSpendLimit", organization_id=organization_id)


async def test_a_limit_that_is_set_again_as_it_was_is_as_old_as_it_was(
    books: Books, watcher: Watcher, organization_id: str
) -> None:
    """Whoever keeps limits in files sets them every day, and is told of November in December all the same."""
    await ask(books, "SetSpendLimit", organization_id=organization_id, hard_nanousd=30_000, soft_nanousd=27_000)
    await watcher.budgets_in_december.set_limit(organization_id, "", Limit(30_000, 27_000))
    await books.ingest(usage_event("late", organization_id=organization_id))
    await watcher.look(TURN + timedelta(seconds=10))
    fired = "select source, period from billing.alert_firings where organization_id = $1"
    assert [tuple(row) for row in await books.database.fetch(fired, organization_id)] == [("soft", "2026-11")]
    await ask(books, "SetSpendLimit", organization_id=organization_id)


def test_a_signature_is_what_the_specification_computes() -> None:
    """The example of the reference libraries of Standard Webhooks."""
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "whsec_c2hvcnQ="])
def test_a_secret_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        secret_of(text)
