"""`/openapi.json` and `/docs`."""

import base64
import hashlib
import re

import pytest

from chassis.testing import running
from services.gateway.app import build
from services.gateway.docs import openapi
from tests.integration.gateway.client import Client
from tests.integration.gateway.scripted import KEY, Peers, settings


async def test_the_page_is_there_without_a_key_and_asks_nobody_else(client: Client) -> None:
    answer = await client.get("/docs", key="")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = answer.body.decode()
    assert 'fetch("/openapi.json")' in page
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page) == []
    assert "innerHTML" not in page


async def test_its_policy_names_its_script_and_style_by_their_hashes(client: Client) -> None:
    answer = await client.get("/docs", key="")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


async def test_the_openapi_document_describes_the_endpoints(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}"} <= set(
        document["paths"]
    )


async def test_the_document_has_every_operation_and_only_references_that_lead_somewhere(client: Client) -> None:
    document = (await client.get("/openapi.json", key="")).json()
    operations = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(operations) == len(set(operations)) >= 7
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', (await client.get("/openapi.json")).body.decode()))
    assert references <= set(document["components"]["schemas"])


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_both_can_be_switched_off(scripted: Peers, path: str) -> None:
    async with running("gateway", build, settings(scripted, openapi=False)):
        answer = await Client(scripted.folder / "http.sock", KEY).get(path)
    assert answer.status == 404


def test_a_discriminator_only_names_schemas() -> None:
    """Pydantic maps to schemas in place where unions are nested; OpenAPI 3.1 knows only names there."""
    found: list[object] = []

    def walk(schema: object) -> None:
        if isinstance(schema, dict):
            if isinstance(schema.get("discriminator"), dict):
                found.extend(schema["discriminator"].get("mapping", {}).values())
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(openapi("1"))
    assert found
    assert all(isinstance(name, str) for name in found)
