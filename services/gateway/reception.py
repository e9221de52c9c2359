"""Who is at the door, and may he come in here: what every endpoint of both listeners asks first.

The order is key, organisation and project, then what the key is restricted to: its kind, its addresses, its scopes.
"""

from __future__ import annotations

from typing import Literal

from chassis.clock import Clock
from chassis.errors import CapstanError, Reason
from chassis.ops import Scope
from services.gateway import request_errors
from services.gateway.caller import Caller
from services.gateway.client_address import client_address, within
from services.gateway.exchange import Exchange, bearer, header
from services.gateway.peers.auth import Authenticator
from services.gateway.scopes import MANAGEMENT, MODEL_REQUEST, missing
from services.gateway.wrong_keys import WrongKeys

Door = Literal["public", "admin"]


class Reception:
    """Finds out who is calling."""

    def __init__(
        self, authenticator: Authenticator, clock: Clock, *, wrong_keys: WrongKeys, trusted_hops: int, door: Door
    ) -> None:
        self._authenticator = authenticator
        self._now = clock.monotonic
        self._wrong_keys = wrong_keys
        self._trusted_hops = trusted_hops
        self._admin = door == "admin"

    async def identify(self, scope: Scope, exchange: Exchange) -> Caller:
        """Find out who is calling from the request's headers.

        Raises `CapstanError` (KEY_MISSING, KEY_INVALID, PROJECT_ARCHIVED, ORGANIZATION_MISMATCH, PROJECT_MISMATCH,
        PERMISSION_DENIED, UNAVAILABLE) and `ApiError` 429 for an address that has tried too many wrong keys.
        """
        exchange.address = client_address(scope, self._trusted_hops)
        exchange.key = bearer(header(scope, b"authorization"))
        caller = await self._authenticated(exchange)
        organization = header(scope, b"openai-organization")
        if organization and organization.decode("latin-1") != caller.organization_id:
            raise CapstanError(Reason.ORGANIZATION_MISMATCH, "another organisation's header")
        project = header(scope, b"openai-project")
        if project and not self._admin and project.decode("latin-1") != caller.project_id:
            raise CapstanError(Reason.PROJECT_MISMATCH, "another project's header")
        exchange.caller = caller
        self._judge(scope, caller, exchange.address)
        return caller

    async def _authenticated(self, exchange: Exchange) -> Caller:
        wait_s = self._wrong_keys.wait_s(exchange.address, self._now())
        if wait_s and not self._authenticator.knows(exchange.key):
            raise request_errors.too_many_wrong_keys(wait_s * 1000)
        try:
            return await self._authenticator.authenticate(exchange.key)
        except CapstanError as error:
            if error.reason is Reason.KEY_INVALID:
                self._wrong_keys.note(exchange.address, self._now())
            raise

    def _judge(self, scope: Scope, caller: Caller, address: str) -> None:
        if caller.allowed_ips and not within(address, caller.allowed_ips):
            raise request_errors.address_not_allowed(address)
        lacks = ""
        if caller.is_admin != self._admin:
            lacks = MANAGEMENT if self._admin else MODEL_REQUEST
        elif not self._admin:
            lacks = missing(caller, scope["method"], scope["path"])
        if lacks:
            raise CapstanError(Reason.PERMISSION_DENIED, "the key may not do this", scope=lacks)
