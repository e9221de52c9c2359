"""Who may call which method of the administration: one table, and the rights that are held against it. Pure.

The gateway's listener says only which key called; nothing it decides opens anything. Every method has a row here (a
test compares the table with the proto), `admin.desk` asks it before the method runs, and a method that gives rights
away asks `Rights.include` besides, so that nobody gives what they have not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from services.auth.permissions import NOTHING, Grants

Level = Literal["organization", "project", "either", "self", "operator"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a method needs."""

    level: Level
    """Where the permission is needed: in the organisation; in the project that the request names; in that or, where it
    names none, in the organisation. `self`: in the organisation, and for another than the caller's own as `operator`.
    `operator`: of an operator's key, and in the organisation."""
    permission: str


def _rules(level: Level, noun: str, reads: str, writes: str = "") -> dict[str, Rule]:
    return {method: Rule(level, f"api.{noun}.read") for method in reads.split()} | {
        method: Rule(level, f"api.{noun}.write") for method in writes.split()
    }


RULES: Mapping[str, Rule] = MappingProxyType(
    _rules("organization", "projects", "ListProjects", "CreateProject")
    | _rules("project", "projects", "GetProject", "UpdateProject ArchiveProject")
    | _rules("project", "model_permissions", "GetModelPermissions", "SetModelPermissions ClearModelPermissions")
    | _rules(
        "project",
        "project_users",
        "ListProjectUsers GetProjectUser",
        "AddProjectUser UpdateProjectUser RemoveProjectUser",
    )
    | _rules(
        "project",
        "service_accounts",
        "ListServiceAccounts GetServiceAccount",
        "CreateServiceAccount UpdateServiceAccount DeleteServiceAccount",
    )
    | _rules(
        "project",
        "api_keys",
        "ListProjectKeys GetProjectKey",
        "CreateServiceAccountKey CreateProjectKey UpdateProjectKey RotateProjectKey DeleteProjectKey",
    )
    | _rules("project", "rate_limits", "ListProjectRateLimits", "UpdateProjectRateLimit DeleteProjectRateLimit")
    | _rules("project", "project_groups", "ListProjectGroups GetProjectGroup", "AddProjectGroup RemoveProjectGroup")
    | _rules("organization", "admin_api_keys", "ListAdminKeys GetAdminKey", "CreateAdminKey DeleteAdminKey")
    | _rules("organization", "users", "ListUsers GetUser", "UpdateUser DeleteUser")
    | _rules("organization", "invites", "ListInvites GetInvite", "CreateInvite DeleteInvite")
    | {"AcceptInvite": Rule("organization", "api.users.write")}
    | _rules(
        "organization",
        "groups",
        "ListGroups GetGroup ListGroupUsers GetGroupUser",
        "CreateGroup UpdateGroup DeleteGroup AddGroupUser RemoveGroupUser",
    )
    | _rules(
        "either",
        "roles",
        "ListRoles GetRole ListRoleAssignments GetRoleAssignment",
        "CreateRole UpdateRole DeleteRole AssignRole UnassignRole",
    )
    | _rules("organization", "audit_logs", "ListAuditLogs")
    | _rules("organization", "usage", "GetUsageAccess")
    | _rules("either", "spending", "GetSpendingAccess")
    # Who has a limit set must not be who lifts it.
    | _rules("organization", "spending", "", "RecordSpendingChange")
    | _rules("self", "organization", "GetOrganization ListOrganizationRateLimits")
    | _rules("operator", "organization", "ListOrganizations")
    | _rules(
        "operator",
        "organization",
        "",
        "CreateOrganization UpdateOrganization UpdateOrganizationRateLimit DeleteOrganizationRateLimit",
    )
)
"""By the method's name. A test holds it to the proto."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do: in the organisation, which holds in every project, and in single projects."""

    organization: Grants = NOTHING
    projects: Mapping[str, Grants] = field(default_factory=dict)
    operator: bool = False

    def within(self, project_id: str) -> Grants:
        """Answer what they may do in a project."""
        return self.organization | self.projects.get(project_id, NOTHING)

    def include(self, other: Rights) -> bool:
        """Say whether all of `other` are among them, so that whoever has these may give those or take them away."""
        return self.organization.include(other.organization) and all(
            self.within(project_id).include(grants) for project_id, grants in other.projects.items()
        )

    def narrowed(self, scopes: tuple[str, ...]) -> Rights:
        """Answer those that an admin key with these scopes has of them."""
        return Rights(
            self.organization.narrowed(scopes),
            {project_id: grants.narrowed(scopes) for project_id, grants in self.projects.items()},
            self.operator,
        )

    def permit(self, rule: Rule, organization_id: str = "", project_id: str = "") -> bool:
        """Say whether they let a method with this rule be called.

        `organization_id` is another than the caller's own, else empty; `project_id` is that of the request.
        """
        match rule.level:
            case "operator":
                return self.operator and self.organization.cover(rule.permission)
            case "self":
                return (self.operator or not organization_id) and self.organization.cover(rule.permission)
            case "organization":
                return self.organization.cover(rule.permission)
            case "project":
                return self.within(project_id).cover(rule.permission)
            case "either":
                grants = self.within(project_id) if project_id else self.organization
                return grants.cover(in_project(rule.permission) if project_id else rule.permission)


def in_project(permission: str) -> str:
    """Answer the permission that stands for `permission` where it is about one project's roles."""
    return permission.replace("api.roles.", "api.project_roles.")
