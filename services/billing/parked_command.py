"""`python -m services.billing parked list|retry|dismiss …`: what could not be recorded, for who operates this.

Answers are lines of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence

from google.protobuf.message import DecodeError

from capstan.billing.v1 import billing_pb2
from chassis import postgres
from chassis.clock import utc
from chassis.errors import CapstanError
from chassis.tenancy import Tenancy
from services.billing.account_command import people_text
from services.billing.events import Delivery, Outcome
from services.billing.settings import Settings
from services.billing.store import DISMISSED, FIRST, Letter, Status, Store
from services.billing.wire import parked_delivery

SHOWN_DIGITS = 16
_FEWEST_DIGITS = 8
_ID = re.compile(rf"[0-9a-f]{{{_FEWEST_DIGITS},64}}", re.ASCII)
_BATCH = 200


def main(argv: Sequence[str], settings: Settings) -> int:
    """List what is parked, try it again, or close one; exit status 1 when that cannot be done."""
    args = arguments(argv)
    try:
        return asyncio.run(done(args, settings))
    except CapstanError as error:
        sys.stderr.write(f"{error.message or error}\n")
        return 1


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read them. Raises `SystemExit` when they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m services.billing parked", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="a line for each, the oldest first")
    actions.add_parser(
        "retry", help="try all again, for example after their model got a price; exit status 1 when some stay parked"
    )
    dismiss = actions.add_parser("dismiss", help="close one that will never be recorded; it is kept, with the reason")
    dismiss.add_argument("id", type=_id, help=f"as the list has it, or its first {_FEWEST_DIGITS} digits or more")
    dismiss.add_argument("reason", type=_reason, help="why nobody shall be charged for it, for who audits the books")
    return parser.parse_args(argv)


async def done(args: argparse.Namespace, settings: Settings) -> int:
    """Do what was asked; 1 when it cannot be done. Raises `CapstanError` when PostgreSQL is away."""
    async with postgres.pool(settings.database(), application_name="parked billing", max_size=1) as pool:
        store = Store(Tenancy(pool, "billing"), lambda: utc(settings.clock()))
        if args.action == "list":
            return await _list(store)
        if args.action == "retry":
            return await _retry(store)
        return await _dismiss(store, args.id, args.reason)


async def _letters(store: Store) -> AsyncIterator[list[Letter]]:
    after = FIRST
    while letters := await store.parked(after, _BATCH):
        after = (letters[-1].parked_time, letters[-1].digest)
        yield letters


async def _list(store: Store) -> int:
    async for letters in _letters(store):
        for letter in letters:
            _say(described(letter))
    return 0


async def _retry(store: Store) -> int:
    recorded = stay = 0
    # What was made up for a gateway that did not tell comes last: the gateway's own word goes before it.
    for made_up in (False, True):
        async for letters in _letters(store):
            read = map(parked_delivery, letters)
            receipts = await store.ingest([delivery for delivery in read if _is_made_up(delivery) is made_up])
            stuck = sum(receipt.status is Status.PARKED for receipt in receipts)
            recorded += len(receipts) - stuck
            stay += stuck
    _say({"recorded": recorded, "parked": stay})
    return 1 if stay else 0


def _is_made_up(delivery: Delivery) -> bool:
    return delivery.event is not None and delivery.event.outcome is Outcome.RECOVERED


async def _dismiss(store: Store, digits: str, reason: str) -> int:
    found = await store.parked_like(digits)
    if len(found) != 1:
        wrong = "no parked event" if not found else "more than one parked event"
        sys.stderr.write(f"There is {wrong} whose id begins with {digits}.\n")
        return 1
    resolution = DISMISSED + reason
    await store.resolve(found, resolution)
    _say({"id": found[0].hex()[:SHOWN_DIGITS], "resolution": resolution})
    return 0


def described(letter: Letter) -> dict[str, object]:
    """Say what is known of one. Its tokens are null when they cannot be read."""
    try:
        event = billing_pb2.UsageEvent.FromString(letter.payload)
    except DecodeError:
        event = None
    return {
        "id": letter.digest.hex()[:SHOWN_DIGITS],
        "parked_time": letter.parked_time.isoformat(timespec="seconds"),
        "reason": letter.reason,
        "organization_id": letter.organization_id,
        "request_id": letter.request_id,
        "model": event.model if event else "",
        "prompt_tokens": event.usage.prompt_tokens if event else None,
        "completion_tokens": event.usage.completion_tokens if event else None,
    }


def _say(told: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id: write at least its first {_FEWEST_DIGITS} digits")
    return text


def _reason(text: str) -> str:
    reason = people_text(text).strip()
    if not reason:
        raise argparse.ArgumentTypeError("it must not be empty")
    return reason
