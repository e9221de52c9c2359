"""Finding a request's endpoint: exact paths, ids in paths, and one endpoint behind two spellings."""

import pytest

from services.gateway.api_error import ApiError
from services.gateway.routes import Routes, spelled


class Endpoint:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.ids: list[str | None] = []

    async def __call__(self, scope, receive, send) -> None:
        self.ids.append(scope["state"].get("object_id"))


async def ask(routes: Routes, method: str, path: str) -> None:
    await routes({"path": path, "method": method, "state": {}}, None, None)  # type: ignore[arg-type]


async def test_both_spellings_of_fine_tuning_are_one_endpoint() -> None:
    jobs, job = Endpoint(), Endpoint()
    routes = Routes({"/v1/fine_tuning/jobs": {"GET": jobs}}, {"/v1/fine_tuning/jobs/([^/]+)": {"GET": job}})
    for prefix in ("/v1/fine_tuning", "/v1/fine-tuning"):
        await ask(routes, "GET", f"{prefix}/jobs")
        await ask(routes, "GET", f"{prefix}/jobs/ftjob-1")
    assert jobs.ids == [None, None]
    assert job.ids == ["ftjob-1", "ftjob-1"]


def test_an_id_is_not_respelled() -> None:
    assert spelled("/v1/models/fine-tuning/x") == "/v1/models/fine-tuning/x"
    assert spelled("/v1/fine-tuning/jobs/fine-tuning") == "/v1/fine_tuning/jobs/fine-tuning"


@pytest.mark.parametrize(
    "path", ["/v1/fine_tuning/jobs/", "/v1/Fine_tuning/jobs", "/v1/fine_tuning", "/v1//fine_tuning/jobs"]
)
async def test_paths_are_exact(path: str) -> None:
    routes = Routes({"/v1/fine_tuning/jobs": {"GET": Endpoint()}}, {})
    with pytest.raises(ApiError) as caught:
        await ask(routes, "GET", path)
    assert caught.value.status == 404


async def test_a_method_that_is_not_there_names_those_that_are() -> None:
    routes = Routes({"/v1/things": {"GET": Endpoint(), "POST": Endpoint()}}, {})
    with pytest.raises(ApiError) as caught:
        await ask(routes, "DELETE", "/v1/things")
    assert (caught.value.status, dict(caught.value.headers)[b"allow"]) == (405, b"GET, HEAD, POST")
