"""The table of who may call what: complete, and what comes of it for everyone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.admin.servicer import METHODS, function_of
from services.auth.authority import RULES, Rights, in_project
from services.auth.permissions import ADMINISTRATIVE, PREDEFINED, Grants

OURS, OTHERS = "proj_ours", "proj_others"
OWNER, READER = PREDEFINED["role-organization-owner"], PREDEFINED["role-organization-reader"]
PROJECT_OWNER, MEMBER = PREDEFINED["role-project-owner"], PREDEFINED["role-project-member"]

READS = {method for method in METHODS if method.startswith(("List", "Get"))}
OPERATORS = {method for method, rule in RULES.items() if rule.level == "operator"}
IN_PROJECTS = {method for method, rule in RULES.items() if rule.level in ("project", "either")}
MEMBERS_SEE = {
    "GetModelPermissions",
    "GetProject",
    "GetProjectGroup",
    "GetProjectKey",
    "GetProjectUser",
    "GetRole",
    "GetRoleAssignment",
    "GetServiceAccount",
    "GetSpendingAccess",
    "ListProjectGroups",
    "ListProjectKeys",
    "ListProjectRateLimits",
    "ListProjectUsers",
    "ListRoleAssignments",
    "ListRoles",
    "ListServiceAccounts",
}


def callable_with(rights: Rights, organization_id: str = "", project_id: str = "") -> set[str]:
    return {method for method, rule in RULES.items() if rights.permit(rule, organization_id, project_id)}


def test_every_method_has_a_rule_and_a_function_and_nothing_else_has() -> None:
    assert set(RULES) == set(METHODS)
    for method in METHODS:
        assert function_of(method).__doc__


def test_every_rule_asks_for_a_permission_that_there_is_and_reads_for_one_to_read() -> None:
    for method, rule in RULES.items():
        assert rule.permission in ADMINISTRATIVE
        assert in_project(rule.permission) in ADMINISTRATIVE
        assert rule.permission.endswith(".read") == (method in READS), method


@pytest.mark.parametrize("project_id", ["", OURS, OTHERS])
@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (Rights(), set()),
        (Rights(operator=True), set()),
        (Rights(OWNER), set(METHODS) - OPERATORS),
        (Rights(OWNER, operator=True), set(METHODS)),
        (Rights(READER), READS - OPERATORS),
        (Rights(READER, operator=True), READS),
    ],
)
def test_what_holds_in_an_organisation_holds_in_all_its_projects(
    rights: Rights, expected: set[str], project_id: str
) -> None:
    assert callable_with(rights, project_id=project_id) == expected


@pytest.mark.parametrize(("grants", "expected"), [(PROJECT_OWNER, IN_PROJECTS), (MEMBER, MEMBERS_SEE)])
def test_what_holds_in_a_project_holds_nowhere_else(grants: Grants, expected: set[str]) -> None:
    rights = Rights(projects={OURS: grants})
    assert callable_with(rights, project_id=OURS) == expected
    assert callable_with(rights, project_id=OTHERS) == set()
    assert callable_with(rights) == set()


@pytest.mark.parametrize("permission", sorted(ADMINISTRATIVE))
def test_a_single_permission_opens_its_own_methods_and_no_other(permission: str) -> None:
    grants = Grants(names=frozenset([permission]))
    for method, rule in RULES.items():
        if rule.level == "operator":
            assert not Rights(grants).permit(rule)
            assert Rights(grants, operator=True).permit(rule) == (rule.permission == permission)
        else:
            assert Rights(grants).permit(rule) == (rule.permission == permission), method
        if rule.level not in ("project", "either"):
            assert not Rights(projects={OURS: grants}).permit(rule, project_id=OURS), method


def test_only_an_operator_looks_at_another_organisation() -> None:
    rule = RULES["GetOrganization"]
    assert Rights(OWNER).permit(rule)
    assert not Rights(OWNER).permit(rule, "org-other")
    assert Rights(OWNER, operator=True).permit(rule, "org-other")


names = st.frozensets(st.sampled_from([*sorted(ADMINISTRATIVE), "model.request"]), max_size=5)
grants = st.builds(Grants, st.booleans(), st.booleans(), st.booleans(), names)
rights = st.builds(Rights, grants, st.dictionaries(st.sampled_from([OURS, OTHERS]), grants), st.booleans())


@given(rights, st.frozensets(st.sampled_from([*sorted(ADMINISTRATIVE), "*"]), min_size=1, max_size=4).map(tuple))
def test_an_admin_key_opens_nothing_that_its_owner_may_not(held: Rights, scopes: tuple[str, ...]) -> None:
    key = held.narrowed(scopes)
    assert held.include(key)
    for project_id in ("", OURS, OTHERS):
        for organization_id in ("", "org-other"):
            opened = callable_with(key, organization_id, project_id)
            assert opened <= callable_with(held, organization_id, project_id)


@given(rights, rights)
def test_whoever_may_give_rights_away_may_do_all_that_they_permit(giver: Rights, given_: Rights) -> None:
    if giver.include(given_):
        for project_id in ("", OURS, OTHERS):
            opened = callable_with(Rights(given_.organization, given_.projects), project_id=project_id)
            assert opened <= callable_with(giver, project_id=project_id)
