"""Keys of projects, and keys of the administration."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from capstan.auth.v1 import keys_pb2
from chassis.clock import Clock
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, instant, page, seconds
from services.gateway.schema.admin.keys import (
    AdminKey,
    AdminKeyCreate,
    AdminKeyOwner,
    AdminKeyWithValue,
    KeyServiceAccount,
    KeyUser,
    ProjectKey,
    ProjectKeyCreate,
    ProjectKeyRotate,
    ProjectKeyUpdate,
    ProjectKeyWithValue,
    Restrictions,
    ServiceAccountOwner,
    UserOwner,
)
from services.gateway.schema.admin.lists import Listing, listing

ALL = "*"


class ProjectKeys:
    """Auth's keys of projects. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._at = authority
        self._clock = clock

    async def list(self, actor: Actor, wanted: Wanted, project_id: str, *, owner_access: str) -> Listing[ProjectKey]:
        """Answer a page; `owner_access`: "active", "inactive" or "any"."""
        request = keys_pb2.ListProjectKeysRequest(
            actor=acting(actor), page=page(wanted), project_id=project_id, owner_project_access=owner_access
        )
        answer: keys_pb2.ListProjectKeysResponse = await self._at.ask(self._at.stub.ListProjectKeys, request)
        return listing([_project_key(key) for key in answer.api_keys], has_more=answer.has_more)

    async def create(self, actor: Actor, project_id: str, wish: ProjectKeyCreate) -> ProjectKeyWithValue:
        """Make one for a user."""
        request = keys_pb2.CreateProjectKeyRequest(
            actor=acting(actor),
            project_id=project_id,
            user_id=wish.user_id or "",
            name=wish.name,
            restrictions=restrictions(wish, self._clock.now()),
        )
        answer: keys_pb2.CreateProjectKeyResponse = await self._at.ask(self._at.stub.CreateProjectKey, request)
        return _shown(answer.api_key, answer.key)

    async def get(self, actor: Actor, project_id: str, key_id: str) -> ProjectKey:
        """Answer one."""
        return _project_key(await self._get(actor, project_id, key_id))

    async def update(self, actor: Actor, project_id: str, key_id: str, wish: ProjectKeyUpdate) -> ProjectKey:
        """Change one; what is not wished for stays."""
        whole = keys_pb2.KeyRestrictions()
        whole.CopyFrom((await self._get(actor, project_id, key_id)).restrictions)
        if wish.scopes is not None:
            whole.scopes[:] = wish.scopes
        if wish.allowed_models is not None:
            whole.allowed_models[:] = wish.allowed_models
        if wish.allowed_ips is not None:
            whole.allowed_ips[:] = wish.allowed_ips
        if wish.expires_in_seconds is not None:
            whole.expire_time.CopyFrom(instant(self._clock.now() + wish.expires_in_seconds))
        request = keys_pb2.UpdateProjectKeyRequest(
            actor=acting(actor), project_id=project_id, key_id=key_id, name=wish.name, restrictions=whole
        )
        return _project_key((await self._at.ask(self._at.stub.UpdateProjectKey, request)).api_key)

    async def rotate(self, actor: Actor, project_id: str, key_id: str, wish: ProjectKeyRotate) -> ProjectKeyWithValue:
        """Follow one up by a new one."""
        overlap = Duration(seconds=wish.overlap_seconds) if wish.overlap_seconds else None
        request = keys_pb2.RotateProjectKeyRequest(
            actor=acting(actor), project_id=project_id, key_id=key_id, overlap=overlap
        )
        answer: keys_pb2.RotateProjectKeyResponse = await self._at.ask(self._at.stub.RotateProjectKey, request)
        return _shown(answer.api_key, answer.key)

    async def delete(self, actor: Actor, project_id: str, key_id: str) -> None:
        """End one at once."""
        request = keys_pb2.DeleteProjectKeyRequest(actor=acting(actor), project_id=project_id, key_id=key_id)
        await self._at.ask(self._at.stub.DeleteProjectKey, request)

    async def _get(self, actor: Actor, project_id: str, key_id: str) -> keys_pb2.ApiKey:
        request = keys_pb2.GetProjectKeyRequest(actor=acting(actor), project_id=project_id, key_id=key_id)
        answer: keys_pb2.GetProjectKeyResponse = await self._at.ask(self._at.stub.GetProjectKey, request)
        return answer.api_key


class AdminKeys:
    """Auth's keys of the administration. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority, clock: Clock) -> None:
        self._at = authority
        self._clock = clock

    async def list(self, actor: Actor, wanted: Wanted) -> Listing[AdminKey]:
        """Answer a page."""
        request = keys_pb2.ListAdminKeysRequest(actor=acting(actor), page=page(wanted))
        answer: keys_pb2.ListAdminKeysResponse = await self._at.ask(self._at.stub.ListAdminKeys, request)
        return listing([admin_key(key) for key in answer.admin_keys], has_more=answer.has_more)

    async def create(self, actor: Actor, wish: AdminKeyCreate) -> AdminKeyWithValue:
        """Make one."""
        lifetime = wish.expires_in_seconds
        request = keys_pb2.CreateAdminKeyRequest(
            actor=acting(actor),
            name=wish.name,
            expire_time=instant(self._clock.now() + lifetime) if lifetime is not None else None,
            scopes=wish.scopes or (),
            allowed_ips=wish.allowed_ips or (),
        )
        answer: keys_pb2.CreateAdminKeyResponse = await self._at.ask(self._at.stub.CreateAdminKey, request)
        return shown_admin_key(answer.admin_key, answer.key)

    async def get(self, actor: Actor, key_id: str) -> AdminKey:
        """Answer one."""
        request = keys_pb2.GetAdminKeyRequest(actor=acting(actor), key_id=key_id)
        return admin_key((await self._at.ask(self._at.stub.GetAdminKey, request)).admin_key)

    async def delete(self, actor: Actor, key_id: str) -> None:
        """End one at once."""
        await self._at.ask(
            self._at.stub.DeleteAdminKey, keys_pb2.DeleteAdminKeyRequest(actor=acting(actor), key_id=key_id)
        )


def restrictions(wish: Restrictions, now: float) -> keys_pb2.KeyRestrictions:
    """Write what a key may do less than its owner; `now` in unix seconds."""
    lifetime = wish.expires_in_seconds
    return keys_pb2.KeyRestrictions(
        scopes=wish.scopes or (),
        allowed_models=wish.allowed_models or (),
        allowed_ips=wish.allowed_ips or (),
        expire_time=instant(now + lifetime) if lifetime is not None else None,
    )


def _project_key(message: keys_pb2.ApiKey) -> ProjectKey:
    owner, limited = message.owner, message.restrictions
    whose: UserOwner | ServiceAccountOwner
    common = {"id": owner.id, "name": owner.name, "created_at": owner.create_time.seconds, "role": owner.role}
    if owner.service_account:
        whose = ServiceAccountOwner(service_account=KeyServiceAccount.model_validate(common))
    else:
        whose = UserOwner(user=KeyUser.model_validate(common | {"email": owner.email}))
    return ProjectKey(
        id=message.id,
        redacted_value=message.redacted,
        name=message.name,
        created_at=message.create_time.seconds,
        last_used_at=seconds(message, "last_use_time"),
        expires_at=seconds(limited, "expire_time"),
        owner_project_access="active" if owner.active else "inactive",
        owner=whose,
        scopes=[scope for scope in limited.scopes if scope != ALL],
        allowed_models=list(limited.allowed_models),
        allowed_ips=list(limited.allowed_ips),
    )


def _shown(message: keys_pb2.ApiKey, value: str) -> ProjectKeyWithValue:
    return ProjectKeyWithValue.model_validate({**dict(_project_key(message)), "value": value})


def admin_key(message: keys_pb2.AdminKey) -> AdminKey:
    """Read an admin key."""
    owner = message.owner
    return AdminKey(
        id=message.id,
        name=message.name,
        redacted_value=message.redacted,
        created_at=message.create_time.seconds,
        expires_at=seconds(message, "expire_time"),
        last_used_at=seconds(message, "last_use_time"),
        owner=AdminKeyOwner(
            type="service_account" if owner.service_account else "user",
            object="organization.service_account" if owner.service_account else "organization.user",
            id=owner.id,
            name=owner.name,
            created_at=owner.create_time.seconds,
            role=owner.role,
        ),
        scopes=list(message.scopes),
        allowed_ips=list(message.allowed_ips),
        operator=message.operator,
    )


def shown_admin_key(message: keys_pb2.AdminKey, value: str) -> AdminKeyWithValue:
    """Read an admin key that was just made."""
    return AdminKeyWithValue.model_validate({**dict(admin_key(message)), "value": value})
