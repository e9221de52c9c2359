"""`python -m services.billing credit|terms …`: how an organisation pays, for who operates the installation."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Sequence

from chassis import postgres
from chassis.clock import utc
from chassis.errors import CapstanError
from chassis.ids import RandomIds
from chassis.tenancy import Tenancy
from services.billing.budget_store import BudgetStore
from services.billing.budgets import MOST_NANOUSD, Standing
from services.billing.events import LONGEST_TEXT
from services.billing.settings import Settings

_AMOUNT = re.compile(r"\$?([0-9]{1,7})(?:\.([0-9]{1,9}))?", re.ASCII)


def credit(argv: Sequence[str], settings: Settings) -> int:
    """Show what was paid in advance and what is left, or enter a payment."""
    parser = argparse.ArgumentParser(prog="python -m services.billing credit", description=credit.__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    show = actions.add_parser("show", help="what was paid in advance, used and is left")
    grant = actions.add_parser("grant", help="enter a payment in advance; it counts within seconds")
    for action in (show, grant):
        action.add_argument("organization", type=_id, help="org-…")
    grant.add_argument("amount", type=nanousd, help="US dollars, such as 25 or 0.50")
    grant.add_argument(
        "--id", type=_id, help="names the payment: the same again enters nothing. Left out: a new one each time"
    )
    grant.add_argument("--note", type=people_text, default="", help="for people")
    return _run(parser.parse_args(argv), settings)


def terms(argv: Sequence[str], settings: Settings) -> int:
    """Show or set whether an organisation pays in advance, and how much it is trusted."""
    parser = argparse.ArgumentParser(prog="python -m services.billing terms", description=terms.__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    show = actions.add_parser("show", help="how it pays")
    change = actions.add_parser("set", help="change it, within seconds; what is not said stays")
    for action in (show, change):
        action.add_argument("organization", type=_id, help="org-…")
    how = change.add_mutually_exclusive_group()
    how.add_argument(
        "--prepaid", dest="prepaid", action="store_const", const=True, help="nothing is served beyond its credit"
    )
    how.add_argument("--postpaid", dest="prepaid", action="store_const", const=False, help="it is sent statements")
    change.add_argument(
        "--max-exposure",
        type=nanousd,
        metavar="AMOUNT",
        help="US dollars that each gateway may serve it on trust while money cannot be checked",
    )
    return _run(parser.parse_args(argv), settings)


def nanousd(text: str) -> int:
    """Read US dollars. Raises `argparse.ArgumentTypeError`."""
    match = _AMOUNT.fullmatch(text)
    amount = int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0")) if match else -1
    if not 0 <= amount <= MOST_NANOUSD:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount: write dollars, such as 25 or 0.50")
    return amount


def _id(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("it must not be empty")
    return people_text(text)


def people_text(text: str) -> str:
    """Read what people write for people. Raises `argparse.ArgumentTypeError`."""
    if len(text) > LONGEST_TEXT or "\0" in text:
        raise argparse.ArgumentTypeError(f"at most {LONGEST_TEXT} characters")
    return text


def _run(args: argparse.Namespace, settings: Settings) -> int:
    try:
        standing = asyncio.run(_done(args, settings))
    except CapstanError as error:
        sys.stderr.write(f"{error.message or error}\n")
        return 1
    sys.stdout.write(
        json.dumps(
            {
                "organization_id": standing.organization_id,
                "prepaid": standing.prepaid,
                "granted_nanousd": str(standing.granted),
                "used_nanousd": str(standing.used),
                "remaining_nanousd": str(standing.granted - standing.used),
                "max_exposure_nanousd": str(standing.max_exposure_nanousd),
            }
        )
        + "\n"
    )
    return 0


async def _done(args: argparse.Namespace, settings: Settings) -> Standing:
    organization: str = args.organization
    async with postgres.pool(settings.database(), application_name="account billing", max_size=1) as pool:
        store = BudgetStore(Tenancy(pool, "billing"), lambda: utc(settings.clock()))
        (standing,) = await store.standings([(organization, "")])
        if args.action == "grant":
            if not args.amount:
                sys.stderr.write("Nothing was paid, so nothing is entered.\n")
            elif not await store.grant(args.id or RandomIds().new("grant_"), organization, args.amount, args.note):
                sys.stderr.write("This payment was entered before; nothing changed.\n")
        elif args.action == "set":
            prepaid = standing.prepaid if args.prepaid is None else args.prepaid
            exposure = standing.max_exposure_nanousd if args.max_exposure is None else args.max_exposure
            await store.set_terms(organization, prepaid=prepaid, max_exposure_nanousd=exposure)
        (standing,) = await store.standings([(organization, "")])
        return standing
