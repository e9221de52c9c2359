"""The official SDK as an administrator, watched: whatever it is answered is held against OpenAI's document."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from openai import DefaultHttpxClient, OpenAI

from tests.contract.suite import Answer, Suite
from tests.openai_document import check_answer, named

_numbers = itertools.count()


@dataclass
class Witness:
    """Sees every answer."""

    seen: set[str] = field(default_factory=set)

    def look(self, response: Any) -> None:
        response.read()
        operation = named(response.request.method, response.request.url.path)
        if operation is not None and response.status_code == 200:
            check_answer(operation, response.json())
            self.seen.add(operation)


def administrator(suite: Suite, key: str, witness: Witness | None = None) -> OpenAI:
    """Make a client that refuses answers whose types are not the SDK's."""
    return OpenAI(
        admin_api_key=key,
        base_url=suite.stack.admin_url,
        max_retries=0,
        timeout=60.0,
        http_client=DefaultHttpxClient(event_hooks={"response": [(witness or Witness()).look]}),
        _strict_response_validation=True,
    )


def own(suite: Suite, method: str, path: str, body: object = None, key: str = "") -> Any:
    """Call what OpenAI does not have; fails unless it is answered well."""
    raw = None if body is None else json.dumps(body).encode()
    answer: Answer = suite.request(method, f"/v1/{path}", raw, key=key, admin=True)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def fresh(word: str) -> str:
    """Make a name that nothing else here has."""
    return f"{word} {next(_numbers)}"


def fresh_address() -> str:
    """Make an address that nobody else here has."""
    return f"someone-{next(_numbers)}@example.com"


def new_user(suite: Suite, client: OpenAI, role: str = "reader", key: str = "") -> Any:
    """Invite somebody and accept for them."""
    invite = client.admin.organization.invites.create(
        email=fresh_address(),
        role="owner" if role == "owner" else "reader",
    )
    return own(suite, "POST", f"organization/invites/{invite.id}/accept", {"name": fresh("Someone")}, key)


@dataclass(frozen=True)
class Tenant:
    """An organisation of its own, with its first admin key and a project."""

    id: str
    admin_key: str
    project_id: str


def new_tenant(suite: Suite) -> Tenant:
    """Make an organisation as the operator, and a project in it as its owner."""
    made = own(suite, "POST", "organizations", {"name": fresh("Tenant"), "tier": "5"})
    key = made["admin_api_key"]["value"]
    project = own(suite, "POST", "organization/projects", {"name": fresh("Project")}, key)
    return Tenant(made["id"], key, project["id"])


def service_key(client: OpenAI, project_id: str) -> str:
    """Make a service account and answer its key."""
    account = client.admin.organization.projects.service_accounts.create(project_id, name=fresh("robot"))
    assert account.api_key is not None
    return account.api_key.value
