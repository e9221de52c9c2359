"""A small AdminService: it keeps projects by name, and fails as its knobs say."""

from __future__ import annotations

from dataclasses import dataclass, field

from capstan.auth.v1 import actor_pb2, admin_pb2_grpc, auth_pb2, projects_pb2, spending_pb2
from chassis import keys
from chassis.errors import CapstanError
from chassis.rpc_server import rich_status
from tests.integration.gateway.scripted import Auth, principal

ADMIN_KEY = keys.mint("admin", lambda count: b"\x33" * count)


def admin_principal() -> auth_pb2.Principal:
    made = principal()
    made.kind, made.project_id, made.key_id = auth_pb2.KEY_KIND_ADMIN, "", "key_admin"
    return made


@dataclass
class TwoKeys(Auth):
    """Knows a project's key and an admin key."""

    admin: auth_pb2.Principal = field(default_factory=admin_principal)

    async def Authenticate(self, request, context):
        answer = await super().Authenticate(request, context)
        for result, digest in zip(answer.results, request.key_digests, strict=True):
            if digest == keys.digest(ADMIN_KEY):
                result.principal.CopyFrom(self.admin)
        return answer


@dataclass
class Admin(admin_pb2_grpc.AdminServiceServicer):
    """Keeps projects."""

    failure: CapstanError | None = None
    actors: list[actor_pb2.Actor] = field(default_factory=list)
    projects: list[projects_pb2.Project] = field(default_factory=list)
    pages: list[actor_pb2.Page] = field(default_factory=list)

    async def CreateProject(self, request, context):
        await self._received(request, context)
        made = projects_pb2.Project(
            id=f"proj_{len(self.projects)}",
            name=request.name,
            moderation_policy=request.moderation_policy or auth_pb2.MODERATION_POLICY_OFF,
        )
        made.create_time.FromSeconds(1_700_000_000)
        self.projects.append(made)
        return projects_pb2.CreateProjectResponse(project=made)

    async def ListProjects(self, request, context):
        await self._received(request, context)
        self.pages.append(request.page)
        return projects_pb2.ListProjectsResponse(projects=self.projects, has_more=False)

    async def GetUsageAccess(self, request, context):
        await self._received(request, context)
        return spending_pb2.GetUsageAccessResponse()

    async def _received(self, request, context):
        self.actors.append(request.actor)
        if self.failure is not None:
            await context.abort_with_status(rich_status(self.failure))
