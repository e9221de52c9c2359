"""Users as members of projects."""

from __future__ import annotations

from capstan.auth.v1 import members_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page
from services.gateway.schema.admin.lists import Listing, listing
from services.gateway.schema.admin.members import ProjectUser, ProjectUserCreate, ProjectUserUpdate


class Members:
    """Auth's members of projects. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, project_id: str) -> Listing[ProjectUser]:
        """Answer a page."""
        request = members_pb2.ListProjectUsersRequest(actor=acting(actor), page=page(wanted), project_id=project_id)
        answer: members_pb2.ListProjectUsersResponse = await self._at.ask(self._at.stub.ListProjectUsers, request)
        return listing([_user(user) for user in answer.users], has_more=answer.has_more)

    async def add(self, actor: Actor, project_id: str, wish: ProjectUserCreate) -> ProjectUser:
        """Make a user a member."""
        request = members_pb2.AddProjectUserRequest(
            actor=acting(actor),
            project_id=project_id,
            user_id=wish.user_id or "",
            email=wish.email or "",
            role=wish.role,
        )
        return _user((await self._at.ask(self._at.stub.AddProjectUser, request)).user)

    async def get(self, actor: Actor, project_id: str, user_id: str) -> ProjectUser:
        """Answer one."""
        request = members_pb2.GetProjectUserRequest(actor=acting(actor), project_id=project_id, user_id=user_id)
        return _user((await self._at.ask(self._at.stub.GetProjectUser, request)).user)

    async def update(self, actor: Actor, project_id: str, user_id: str, wish: ProjectUserUpdate) -> ProjectUser:
        """Change what one is."""
        if wish.role is None:
            return await self.get(actor, project_id, user_id)
        request = members_pb2.UpdateProjectUserRequest(
            actor=acting(actor), project_id=project_id, user_id=user_id, role=wish.role
        )
        return _user((await self._at.ask(self._at.stub.UpdateProjectUser, request)).user)

    async def remove(self, actor: Actor, project_id: str, user_id: str) -> None:
        """End a membership."""
        request = members_pb2.RemoveProjectUserRequest(actor=acting(actor), project_id=project_id, user_id=user_id)
        await self._at.ask(self._at.stub.RemoveProjectUser, request)


def _user(message: members_pb2.ProjectUser) -> ProjectUser:
    return ProjectUser(
        id=message.id,
        name=message.name or None,
        email=message.email or None,
        role=message.role,
        added_at=message.create_time.seconds,
    )
