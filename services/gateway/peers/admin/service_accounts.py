"""Service accounts, and their keys."""

from __future__ import annotations

from typing import Any

from capstan.auth.v1 import accounts_pb2, keys_pb2
from chassis.clock import Clock
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page
from services.gateway.peers.admin.keys import restrictions
from services.gateway.schema.admin.keys import (
    Restrictions,
    ServiceAccount,
    ServiceAccountCreate,
    ServiceAccountKey,
    ServiceAccountKeyCreate,
    ServiceAccountUpdate,
    ServiceAccountWithKey,
)
from services.gateway.schema.admin.lists import Listing, listing


class ServiceAccounts:
    """Auth's service accounts. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._at = authority
        self._clock = clock

    async def list(self, actor: Actor, wanted: Wanted, project_id: str) -> Listing[ServiceAccount]:
        """Answer a page."""
        request = accounts_pb2.ListServiceAccountsRequest(actor=acting(actor), page=page(wanted), project_id=project_id)
        answer: accounts_pb2.ListServiceAccountsResponse = await self._at.ask(
            self._at.stub.ListServiceAccounts, request
        )
        return listing([_account(one) for one in answer.service_accounts], has_more=answer.has_more)

    async def create(self, actor: Actor, project_id: str, wish: ServiceAccountCreate) -> ServiceAccountWithKey:
        """Make one, with a key unless it shall have none."""
        alone = bool(wish.create_service_account_only)
        expires = wish.expires_in_seconds is not None and not alone
        request = accounts_pb2.CreateServiceAccountRequest(
            actor=acting(actor),
            project_id=project_id,
            name=wish.name,
            without_key=alone or expires,
            role="member" if expires else "",
        )
        answer: accounts_pb2.CreateServiceAccountResponse = await self._at.ask(
            self._at.stub.CreateServiceAccount, request
        )
        key = _key(answer.api_key, answer.key) if answer.key else None
        if expires:
            limited = Restrictions(expires_in_seconds=wish.expires_in_seconds)
            key = await self._create_key(actor, project_id, answer.service_account.id, "", limited)
        made = answer.service_account
        role: Any = made.role
        return ServiceAccountWithKey(
            id=made.id, name=made.name, role=role, created_at=made.create_time.seconds, api_key=key
        )

    async def get(self, actor: Actor, project_id: str, account_id: str) -> ServiceAccount:
        """Answer one."""
        request = accounts_pb2.GetServiceAccountRequest(
            actor=acting(actor), project_id=project_id, service_account_id=account_id
        )
        return _account((await self._at.ask(self._at.stub.GetServiceAccount, request)).service_account)

    async def update(
        self, actor: Actor, project_id: str, account_id: str, wish: ServiceAccountUpdate
    ) -> ServiceAccount:
        """Change one."""
        request = accounts_pb2.UpdateServiceAccountRequest(
            actor=acting(actor),
            project_id=project_id,
            service_account_id=account_id,
            name=wish.name,
            role=wish.role or "",
        )
        return _account((await self._at.ask(self._at.stub.UpdateServiceAccount, request)).service_account)

    async def delete(self, actor: Actor, project_id: str, account_id: str) -> None:
        """End one, and with it its keys."""
        request = accounts_pb2.DeleteServiceAccountRequest(
            actor=acting(actor), project_id=project_id, service_account_id=account_id
        )
        await self._at.ask(self._at.stub.DeleteServiceAccount, request)

    async def create_key(
        self, actor: Actor, project_id: str, account_id: str, wish: ServiceAccountKeyCreate
    ) -> ServiceAccountKey:
        """Make a further key."""
        return await self._create_key(actor, project_id, account_id, wish.name or "", wish)

    async def _create_key(
        self, actor: Actor, project_id: str, account_id: str, name: str, wish: Restrictions
    ) -> ServiceAccountKey:
        request = keys_pb2.CreateServiceAccountKeyRequest(
            actor=acting(actor),
            project_id=project_id,
            service_account_id=account_id,
            name=name,
            restrictions=restrictions(wish, self._clock.now()),
        )
        answer: keys_pb2.CreateServiceAccountKeyResponse = await self._at.ask(
            self._at.stub.CreateServiceAccountKey, request
        )
        return _key(answer.api_key, answer.key)


def _account(message: accounts_pb2.ServiceAccount) -> ServiceAccount:
    role: Any = message.role
    return ServiceAccount(id=message.id, name=message.name, role=role, created_at=message.create_time.seconds)


def _key(message: keys_pb2.ApiKey, value: str) -> ServiceAccountKey:
    return ServiceAccountKey(id=message.id, value=value, name=message.name, created_at=message.create_time.seconds)
