"""Users of an organisation, and those who are invited to become one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from capstan.auth.v1 import users_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page, seconds
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.users import (
    Invite,
    InviteAccept,
    InviteCreate,
    InviteProject,
    User,
    UserDetails,
    UserUpdate,
)


class Users:
    """Auth's users. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, emails: Sequence[str]) -> Listing[User]:
        """Answer a page, of all or of those with one of these addresses."""
        request = users_pb2.ListUsersRequest(actor=acting(actor), page=page(wanted), emails=emails)
        answer: users_pb2.ListUsersResponse = await self._at.ask(self._at.stub.ListUsers, request)
        return listing([_user(user) for user in answer.users], has_more=answer.has_more)

    async def get(self, actor: Actor, user_id: str) -> User:
        """Answer one."""
        request = users_pb2.GetUserRequest(actor=acting(actor), user_id=user_id)
        return _user((await self._at.ask(self._at.stub.GetUser, request)).user)

    async def update(self, actor: Actor, user_id: str, wish: UserUpdate) -> User:
        """Change one."""
        request = users_pb2.UpdateUserRequest(
            actor=acting(actor), user_id=user_id, role=wish.role or "", name=wish.name, disabled=wish.disabled
        )
        return _user((await self._at.ask(self._at.stub.UpdateUser, request)).user)

    async def delete(self, actor: Actor, user_id: str) -> None:
        """Take one out."""
        await self._at.ask(self._at.stub.DeleteUser, users_pb2.DeleteUserRequest(actor=acting(actor), user_id=user_id))


class Invites:
    """Auth's invites. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted) -> Listing[Invite]:
        """Answer a page."""
        request = users_pb2.ListInvitesRequest(actor=acting(actor), page=page(wanted))
        answer: users_pb2.ListInvitesResponse = await self._at.ask(self._at.stub.ListInvites, request)
        return listing([_invite(invite) for invite in answer.invites], has_more=answer.has_more)

    async def create(self, actor: Actor, wish: InviteCreate) -> Invite:
        """Invite somebody."""
        request = users_pb2.CreateInviteRequest(
            actor=acting(actor),
            email=wish.email,
            role=wish.role,
            projects=[users_pb2.InviteProject(id=project.id, role=project.role) for project in wish.projects or ()],
        )
        return _invite((await self._at.ask(self._at.stub.CreateInvite, request)).invite)

    async def get(self, actor: Actor, invite_id: str) -> Invite:
        """Answer one."""
        request = users_pb2.GetInviteRequest(actor=acting(actor), invite_id=invite_id)
        return _invite((await self._at.ask(self._at.stub.GetInvite, request)).invite)

    async def accept(self, actor: Actor, invite_id: str, wish: InviteAccept) -> User:
        """Make a user of whom it invites."""
        request = users_pb2.AcceptInviteRequest(actor=acting(actor), invite_id=invite_id, name=wish.name or "")
        return _user((await self._at.ask(self._at.stub.AcceptInvite, request)).user)

    async def delete(self, actor: Actor, invite_id: str) -> None:
        """Take one back."""
        request = users_pb2.DeleteInviteRequest(actor=acting(actor), invite_id=invite_id)
        await self._at.ask(self._at.stub.DeleteInvite, request)


def _user(message: users_pb2.User) -> User:
    role: Any = message.role
    name, email = message.name or None, message.email or None
    return User(
        id=message.id,
        name=name,
        email=email,
        role=role,
        added_at=message.create_time.seconds,
        created=message.create_time.seconds,
        user=UserDetails(id=message.id, email=email, name=name, enabled=not message.disabled, banned=message.disabled),
        api_key_last_used_at=seconds(message, "key_last_use_time"),
        disabled=message.disabled,
    )


def _invite(message: users_pb2.Invite) -> Invite:
    role: Any = message.role
    status: Any = message.status
    return Invite(
        id=message.id,
        email=message.email,
        role=role,
        status=status,
        created_at=message.create_time.seconds,
        expires_at=seconds(message, "expire_time"),
        accepted_at=seconds(message, "accept_time"),
        projects=[InviteProject.model_validate({"id": one.id, "role": one.role}) for one in message.projects],
        user_id=message.user_id or None,
    )
