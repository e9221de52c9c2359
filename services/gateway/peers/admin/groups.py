"""Groups of users, and the projects they are in."""

from __future__ import annotations

from capstan.auth.v1 import groups_pb2
from services.gateway.actor import Actor, Wanted
from services.gateway.peers.admin.authority import Authority, acting, page
from services.gateway.schema.admin.groups import (
    Group,
    GroupMembership,
    GroupRenamed,
    GroupUser,
    GroupUserDetails,
    ProjectGroup,
    ProjectGroupAdd,
)
from services.gateway.schema.admin.lists import NextListing, next_listing


class Groups:
    """Auth's groups. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted) -> NextListing[Group]:
        """Answer a page."""
        request = groups_pb2.ListGroupsRequest(actor=acting(actor), page=page(wanted))
        answer: groups_pb2.ListGroupsResponse = await self._at.ask(self._at.stub.ListGroups, request)
        groups = [_group(group) for group in answer.groups]
        return next_listing(groups, groups[-1].id if groups else "", has_more=answer.has_more)

    async def create(self, actor: Actor, name: str) -> Group:
        """Make one."""
        request = groups_pb2.CreateGroupRequest(actor=acting(actor), name=name)
        return _group((await self._at.ask(self._at.stub.CreateGroup, request)).group)

    async def get(self, actor: Actor, group_id: str) -> Group:
        """Answer one."""
        request = groups_pb2.GetGroupRequest(actor=acting(actor), group_id=group_id)
        return _group((await self._at.ask(self._at.stub.GetGroup, request)).group)

    async def rename(self, actor: Actor, group_id: str, name: str) -> GroupRenamed:
        """Call one otherwise."""
        request = groups_pb2.UpdateGroupRequest(actor=acting(actor), group_id=group_id, name=name)
        group = _group((await self._at.ask(self._at.stub.UpdateGroup, request)).group)
        return GroupRenamed(id=group.id, name=group.name, created_at=group.created_at)

    async def delete(self, actor: Actor, group_id: str) -> None:
        """End one."""
        await self._at.ask(
            self._at.stub.DeleteGroup, groups_pb2.DeleteGroupRequest(actor=acting(actor), group_id=group_id)
        )

    async def users(self, actor: Actor, wanted: Wanted, group_id: str) -> NextListing[GroupUser]:
        """Answer a page of a group's users."""
        request = groups_pb2.ListGroupUsersRequest(actor=acting(actor), page=page(wanted), group_id=group_id)
        answer: groups_pb2.ListGroupUsersResponse = await self._at.ask(self._at.stub.ListGroupUsers, request)
        users = [GroupUser(id=user.id, name=user.name, email=user.email or None) for user in answer.users]
        return next_listing(users, users[-1].id if users else "", has_more=answer.has_more)

    async def user(self, actor: Actor, group_id: str, user_id: str) -> GroupUserDetails:
        """Answer one of a group's users."""
        request = groups_pb2.GetGroupUserRequest(actor=acting(actor), group_id=group_id, user_id=user_id)
        found: groups_pb2.GroupUser = (await self._at.ask(self._at.stub.GetGroupUser, request)).user
        return GroupUserDetails(
            id=found.id, name=found.name, email=found.email or None, is_service_account=found.service_account
        )

    async def add(self, actor: Actor, group_id: str, user_id: str) -> GroupMembership:
        """Put a user in."""
        request = groups_pb2.AddGroupUserRequest(actor=acting(actor), group_id=group_id, user_id=user_id)
        await self._at.ask(self._at.stub.AddGroupUser, request)
        return GroupMembership(user_id=user_id, group_id=group_id)

    async def remove(self, actor: Actor, group_id: str, user_id: str) -> None:
        """Take a user out."""
        request = groups_pb2.RemoveGroupUserRequest(actor=acting(actor), group_id=group_id, user_id=user_id)
        await self._at.ask(self._at.stub.RemoveGroupUser, request)


class ProjectGroups:
    """Auth's groups in projects. What the methods raise is what `Authority.ask` raises."""

    def __init__(self, authority: Authority) -> None:
        self._at = authority

    async def list(self, actor: Actor, wanted: Wanted, project_id: str) -> NextListing[ProjectGroup]:
        """Answer a page."""
        request = groups_pb2.ListProjectGroupsRequest(actor=acting(actor), page=page(wanted), project_id=project_id)
        answer: groups_pb2.ListProjectGroupsResponse = await self._at.ask(self._at.stub.ListProjectGroups, request)
        groups = [_project_group(group) for group in answer.groups]
        return next_listing(groups, groups[-1].group_id if groups else "", has_more=answer.has_more)

    async def get(self, actor: Actor, project_id: str, group_id: str) -> ProjectGroup:
        """Answer one."""
        request = groups_pb2.GetProjectGroupRequest(actor=acting(actor), project_id=project_id, group_id=group_id)
        return _project_group((await self._at.ask(self._at.stub.GetProjectGroup, request)).group)

    async def add(self, actor: Actor, project_id: str, wish: ProjectGroupAdd) -> ProjectGroup:
        """Put a group in."""
        request = groups_pb2.AddProjectGroupRequest(
            actor=acting(actor), project_id=project_id, group_id=wish.group_id, role_id=wish.role
        )
        return _project_group((await self._at.ask(self._at.stub.AddProjectGroup, request)).group)

    async def remove(self, actor: Actor, project_id: str, group_id: str) -> None:
        """Take a group out."""
        request = groups_pb2.RemoveProjectGroupRequest(actor=acting(actor), project_id=project_id, group_id=group_id)
        await self._at.ask(self._at.stub.RemoveProjectGroup, request)


def _group(message: groups_pb2.Group) -> Group:
    return Group(
        id=message.id,
        name=message.name,
        created_at=message.create_time.seconds,
        member_count=message.member_count,
    )


def _project_group(message: groups_pb2.ProjectGroup) -> ProjectGroup:
    return ProjectGroup(
        project_id=message.project_id,
        group_id=message.group_id,
        group_name=message.group_name,
        created_at=message.create_time.seconds,
    )
