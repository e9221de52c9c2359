"""`OpenAI(admin_api_key=…).admin.organization.*` drives everything, and every answer is what the document says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from services.gateway.admin.app import openapi
from tests.contract.administration import Witness, administrator, fresh, fresh_address, new_user, own, service_key
from tests.contract.spending_exercises import SPENDING
from tests.contract.suite import Suite
from tests.openai_document import operations

Exercise = Callable[[Suite, OpenAI, str], None]
EXERCISES: dict[str, tuple[Exercise, frozenset[str]]] = dict(SPENDING)


def exercises(*operation_ids: str) -> Callable[[Exercise], Exercise]:
    """Register which operations an exercise calls."""

    def register(exercise: Exercise) -> Exercise:
        EXERCISES[exercise.__name__] = (exercise, frozenset(operation_ids))
        return exercise

    return register


def gone(call: Callable[[], object]) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        call()
    assert refusal.value.param == "id"


@exercises("list-projects", "create-project", "retrieve-project", "modify-project", "archive-project")
def projects(suite: Suite, client: OpenAI, _project_id: str) -> None:
    api = client.admin.organization.projects
    made = [api.create(name=fresh("Apollo")) for _ in range(3)]
    assert api.retrieve(made[0].id) == made[0]
    renamed = api.update(made[0].id, name="Gemini")
    assert (renamed.name, renamed.status) == ("Gemini", "active")
    ended = api.archive(made[1].id)
    assert (ended.status, ended.archived_at is None) == ("archived", False)
    listed = [project.id for project in api.list(limit=2)]  # page by page
    assert len(listed) == len(set(listed))
    assert {made[0].id, made[2].id} <= set(listed)
    assert made[1].id not in listed
    assert made[1].id in [project.id for project in api.list(limit=100, include_archived=True)]
    gone(lambda: api.retrieve("proj_none"))


@exercises("retrieve-project-model-permissions", "update-project-model-permissions", "delete-project-model-permissions")
def model_permissions(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.projects.model_permissions
    assert api.retrieve(project_id).mode == "deny_list"
    allowed = api.update(project_id, mode="allow_list", model_ids=["capstan-demo"])
    assert (allowed.mode, allowed.api_model_ids) == ("allow_list", ["capstan-demo"])
    assert api.retrieve(project_id).mode == "allow_list"
    assert api.delete(project_id).deleted
    assert api.retrieve(project_id).api_model_ids == []


@exercises(
    "list-project-users", "create-project-user", "retrieve-project-user", "modify-project-user", "delete-project-user"
)
def project_users(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.projects.users
    user, other = new_user(suite, client), new_user(suite, client)
    added = api.create(project_id, user_id=user["id"], role="member")
    assert (added.id, added.role, added.email) == (user["id"], "member", user["email"])
    assert api.create(project_id, email=other["email"], role="owner").id == other["id"]
    assert api.retrieve(user["id"], project_id=project_id).role == "member"
    assert api.update(user["id"], project_id=project_id, role="owner").role == "owner"
    assert {user["id"], other["id"]} <= {each.id for each in api.list(project_id, limit=1)}
    assert api.delete(user["id"], project_id=project_id).deleted
    gone(lambda: api.retrieve(user["id"], project_id=project_id))


@exercises(
    "list-project-service-accounts",
    "create-project-service-account",
    "retrieve-project-service-account",
    "update-project-service-account",
    "delete-project-service-account",
    "CreateanAPIkeyforaserviceaccount",
)
def service_accounts(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.projects.service_accounts
    made = api.create(project_id, name="robot")
    assert made.api_key is not None
    assert made.api_key.value.startswith("sk-svcacct-")
    silent = api.create(project_id, name="silent", create_service_account_only=True)
    assert silent.api_key is None
    brief = api.create(project_id, name="brief", expires_in_seconds=3600)
    assert brief.api_key is not None
    assert api.retrieve(made.id, project_id=project_id).name == "robot"
    assert api.update(made.id, project_id=project_id, name="android").name == "android"
    assert {made.id, silent.id, brief.id} <= {each.id for each in api.list(project_id, limit=2)}
    key = api.api_keys.create(made.id, project_id=project_id, name="second", scopes=["model.request"])
    assert key.value.startswith("sk-svcacct-")
    assert api.delete(made.id, project_id=project_id).deleted
    gone(lambda: api.retrieve(made.id, project_id=project_id))


@exercises("list-project-api-keys", "retrieve-project-api-key", "delete-project-api-key")
def project_keys(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.projects.api_keys
    service_key(client, project_id)
    made = own(suite, "POST", f"organization/projects/{project_id}/api_keys", {"name": "mine"})
    found = api.retrieve(made["id"], project_id=project_id)
    assert (found.name, found.redacted_value, found.owner.type) == ("mine", made["redacted_value"], "user")
    kinds = {key.owner.type for key in api.list(project_id, limit=1)}
    assert kinds == {"user", "service_account"}
    assert [key.id for key in api.list(project_id, owner_project_access="inactive")] == []
    changed = api.update(made["id"], project_id=project_id, scopes=["api.model.read"], expires_in_seconds=3600)
    assert changed.expires_at is not None
    assert changed.model_extra["scopes"] == ["api.model.read"]
    assert api.delete(made["id"], project_id=project_id).deleted
    gone(lambda: api.retrieve(made["id"], project_id=project_id))


@exercises("list-project-rate-limits", "update-project-rate-limits")
def rate_limits(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.projects.rate_limits
    by_model = {limit.model: limit for limit in api.list_rate_limits(project_id)}
    assert "capstan-demo" in by_model
    changed = api.update_rate_limit(
        by_model["capstan-demo"].id,
        project_id=project_id,
        max_requests_per_1_minute=17,
        max_requests_per_1_day=1000,
        batch_1_day_max_input_tokens=5000,
    )
    assert (changed.max_requests_per_1_minute, changed.max_requests_per_1_day) == (17, 1000)
    assert changed.max_tokens_per_1_minute == by_model["capstan-demo"].max_tokens_per_1_minute
    again = {limit.model: limit for limit in api.list_rate_limits(project_id, limit=1)}
    assert again["capstan-demo"] == changed


@exercises("list-users", "retrieve-user", "modify-user", "delete-user")
def users(suite: Suite, client: OpenAI, _project_id: str) -> None:
    api = client.admin.organization.users
    made = new_user(suite, client)
    assert api.retrieve(made["id"]).email == made["email"]
    assert [user.id for user in api.list(emails=[made["email"], "nobody@example.com"])] == [made["id"]]
    assert made["id"] in [user.id for user in api.list(limit=1)]
    assert api.update(made["id"], role="owner").role == "owner"
    assert api.delete(made["id"]).deleted
    gone(lambda: api.retrieve(made["id"]))


@exercises("list-invites", "inviteUser", "retrieve-invite", "delete-invite")
def invites(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.invites
    made = api.create(
        email=fresh_address(),
        role="reader",
        projects=[{"id": project_id, "role": "member"}],
    )
    assert (made.status, made.projects[0].id) == ("pending", project_id)
    assert api.retrieve(made.id) == made
    assert made.id in [invite.id for invite in api.list(limit=1)]
    assert api.delete(made.id).deleted
    gone(lambda: api.retrieve(made.id))


@exercises("list-groups", "create-group", "retrieve-group", "update-group", "delete-group")
def groups(suite: Suite, client: OpenAI, _project_id: str) -> None:
    api = client.admin.organization.groups
    made = [api.create(name=fresh("Crew")) for _ in range(2)]
    assert api.retrieve(made[0].id).name == made[0].name
    assert api.update(made[0].id, name=fresh("Staff")).name.startswith("Staff")
    assert {group.id for group in made} <= {group.id for group in api.list(limit=1)}
    assert api.delete(made[0].id).deleted
    gone(lambda: api.retrieve(made[0].id))


@exercises("list-group-users", "add-group-user", "retrieve-group-user", "remove-group-user")
def group_users(suite: Suite, client: OpenAI, _project_id: str) -> None:
    group, user = client.admin.organization.groups.create(name=fresh("Crew")), new_user(suite, client)
    api = client.admin.organization.groups.users
    assert api.create(group.id, user_id=user["id"]).user_id == user["id"]
    assert api.retrieve(user["id"], group_id=group.id).email == user["email"]
    assert [each.id for each in api.list(group.id)] == [user["id"]]
    assert api.delete(user["id"], group_id=group.id).deleted
    assert list(api.list(group.id)) == []


def project_role(client: OpenAI, project_id: str) -> str:
    return next(role.id for role in client.admin.organization.projects.roles.list(project_id) if role.predefined_role)


@exercises("list-project-groups", "add-project-group", "retrieve-project-group", "remove-project-group")
def project_groups(suite: Suite, client: OpenAI, project_id: str) -> None:
    group = client.admin.organization.groups.create(name=fresh("Crew"))
    api = client.admin.organization.projects.groups
    role_id = project_role(client, project_id)
    assert api.create(project_id, group_id=group.id, role=role_id).group_name == group.name
    assert api.retrieve(group.id, project_id=project_id).group_id == group.id
    assert [each.group_id for each in api.list(project_id)] == [group.id]
    assert api.delete(group.id, project_id=project_id).deleted
    gone(lambda: api.retrieve(group.id, project_id=project_id))


def exercise_roles(api: Any, *place: str) -> None:
    made = api.create(*place, role_name=fresh("Helper"), permissions=["api.model.read"], description="Looks.")
    named = {"project_id": place[0]} if place else {}
    assert (made.permissions, made.description, made.predefined_role) == (["api.model.read"], "Looks.", False)
    assert api.retrieve(made.id, **named) == made
    assert api.update(made.id, **named, description="Sees.").description == "Sees."
    assert made.id in [role.id for role in api.list(*place, limit=1)]
    assert api.delete(made.id, **named).deleted
    gone(lambda: api.retrieve(made.id, **named))


@exercises("list-roles", "create-role", "retrieve-role", "update-role", "delete-role")
def roles(suite: Suite, client: OpenAI, _project_id: str) -> None:
    made = client.admin.organization.roles
    role = made.create(role_name=fresh("Auditor"), permissions=["api.management.read"])
    assert role.resource_type == "api.organization"
    assert made.retrieve(role.id) == role
    assert made.update(role.id, description="Looks on.").description == "Looks on."
    assert role.id in [each.id for each in made.list(limit=1)]
    assert made.delete(role.id).deleted
    gone(lambda: made.retrieve(role.id))


@exercises(
    "list-project-roles", "create-project-role", "retrieve-project-role", "update-project-role", "delete-project-role"
)
def project_roles(suite: Suite, client: OpenAI, project_id: str) -> None:
    exercise_roles(client.admin.organization.projects.roles, project_id)


def exercise_assignments(api: Any, holder: dict[str, str], role_id: str) -> None:
    (_, holder_id), *more = holder.items()
    assert api.create(holder_id, role_id=role_id, **dict(more)).role.id == role_id
    assert role_id in [role.id for role in api.list(holder_id, **dict(more))]
    assert api.retrieve(role_id, **holder).id == role_id
    assert api.delete(role_id, **holder).deleted
    gone(lambda: api.retrieve(role_id, **holder))


@exercises("list-user-role-assignments", "assign-user-role", "retrieve-user-role", "unassign-user-role")
def user_roles(suite: Suite, client: OpenAI, _project_id: str) -> None:
    organization = client.admin.organization
    role = organization.roles.create(role_name=fresh("Auditor"), permissions=["api.management.read"])
    exercise_assignments(organization.users.roles, {"user_id": new_user(suite, client)["id"]}, role.id)


@exercises("list-group-role-assignments", "assign-group-role", "retrieve-group-role", "unassign-group-role")
def group_roles(suite: Suite, client: OpenAI, _project_id: str) -> None:
    organization = client.admin.organization
    role = organization.roles.create(role_name=fresh("Auditor"), permissions=["api.management.read"])
    group = organization.groups.create(name=fresh("Crew"))
    exercise_assignments(organization.groups.roles, {"group_id": group.id}, role.id)


@exercises(
    "list-project-user-role-assignments",
    "assign-project-user-role",
    "retrieve-project-user-role",
    "unassign-project-user-role",
)
def project_user_roles(suite: Suite, client: OpenAI, project_id: str) -> None:
    api, user = client.admin.organization.projects, new_user(suite, client)
    role = api.roles.create(project_id, role_name=fresh("Helper"), permissions=["api.model.read"])
    api.users.create(project_id, user_id=user["id"], role="member")
    exercise_assignments(api.users.roles, {"user_id": user["id"], "project_id": project_id}, role.id)


@exercises(
    "list-project-group-role-assignments",
    "assign-project-group-role",
    "retrieve-project-group-role",
    "unassign-project-group-role",
)
def project_group_roles(suite: Suite, client: OpenAI, project_id: str) -> None:
    api, group = client.admin.organization.projects, client.admin.organization.groups.create(name=fresh("Crew"))
    role = api.roles.create(project_id, role_name=fresh("Helper"), permissions=["api.model.read"])
    api.groups.create(project_id, group_id=group.id, role=project_role(client, project_id))
    exercise_assignments(api.groups.roles, {"group_id": group.id, "project_id": project_id}, role.id)


@exercises("admin-api-keys-list", "admin-api-keys-create", "admin-api-keys-get", "admin-api-keys-delete")
def admin_keys(suite: Suite, client: OpenAI, _project_id: str) -> None:
    api = client.admin.organization.admin_api_keys
    made = api.create(name="spare", expires_in_seconds=3600)
    assert made.value.startswith("sk-admin-")
    assert made.expires_at is not None
    with administrator(suite, made.value) as other:
        assert other.admin.organization.admin_api_keys.retrieve(made.id) == api.retrieve(made.id)
        assert made.id in [key.id for key in api.list(limit=1, order="desc")]
        assert api.delete(made.id).deleted
        with pytest.raises(openai.AuthenticationError):
            other.admin.organization.projects.list()


@exercises("list-audit-logs")
def audit_logs(suite: Suite, client: OpenAI, project_id: str) -> None:
    api = client.admin.organization.audit_logs
    key = own(suite, "POST", f"organization/projects/{project_id}/api_keys", {"name": "logged"})
    found = list(api.list(project_ids=[project_id], resource_ids=[key["id"]], limit=1))
    assert [entry.type for entry in found] == ["api_key.created"]
    entry = found[0]
    assert entry.api_key_created is not None
    assert entry.api_key_created.id == key["id"]
    assert entry.actor is not None
    assert entry.actor.api_key is not None
    assert entry.actor.api_key.type == "user"
    assert [each.id for each in api.list(event_types=["project.created"], resource_ids=[project_id])]
    late = {"gt": entry.effective_at + 1000}
    assert list(api.list(effective_at=late)) == []
    early = [each.effective_at for each in api.list(effective_at={"lte": entry.effective_at}, limit=5).data]
    assert early
    assert max(early) <= entry.effective_at
    assert early == sorted(early, reverse=True)
    assert key["value"] not in str(found)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def client(suite: Suite, witness: Witness) -> Iterator[OpenAI]:
    with administrator(suite, suite.stack.admin_key, witness) as made:
        yield made


@pytest.mark.parametrize("name", EXERCISES)
def test_the_sdk_drives_it_and_every_answer_is_what_the_document_says(
    suite: Suite, client: OpenAI, witness: Witness, name: str
) -> None:
    exercise, operation_ids = EXERCISES[name]
    project = client.admin.organization.projects.create(name=fresh("Project"))
    exercise(suite, client, project.id)
    assert operation_ids <= witness.seen


def test_every_operation_of_openais_that_is_served_is_driven() -> None:
    served = {
        operations()[method, path]["operationId"]
        for path, methods in openapi("")["paths"].items()
        for method in methods
        if (method, path) in operations()
    }
    assert served == {operation for _, names in EXERCISES.values() for operation in names}
