"""What the user asked for, and what is refused before anything starts."""

import socket
from pathlib import Path

import pytest

from tools.local.plan import Plan, refuse_busy_port, refuse_open_address
from tools.local.problem import Problem


def test_a_plan_survives_the_way_to_the_supervisor() -> None:
    plan = Plan(Path("/data folder/ü"), "/models/m", port=8123, environment={"CAPSTAN_AUTH_LOG_LEVEL": "DEBUG"})
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:8000/v1"), ("::1", "http://[::1]:8000/v1")])
def test_the_base_url_is_what_a_client_takes(host: str, url: str) -> None:
    assert Plan(Path("/d"), "m", host).base_url == url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])
def test_an_address_others_reach_has_to_be_meant(host: str) -> None:
    with pytest.raises(Problem, match="--expose"):
        refuse_open_address(host, exposed=False)
    refuse_open_address(host, exposed=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_word(host: str) -> None:
    refuse_open_address(host, exposed=False)


def test_a_port_in_use_is_one_sentence_and_a_free_one_none() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(Problem, match=f"Port {port} is in use"):
            refuse_busy_port("127.0.0.1", port)
    refuse_busy_port("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(Problem, match=r"Nothing can listen on 192\.0\.2\.1:8000"):
        refuse_busy_port("192.0.2.1", 8000)


def test_the_state_file_shows_nothing_secret_of_a_plan() -> None:
    assert "environment" not in Plan(Path("/d"), "m", environment={"SECRET": "x"}).public()


@pytest.mark.parametrize(
    ("plan", "url"),
    [
        (Plan(Path("/d"), "m"), "http://127.0.0.1:8900/v1"),
        (Plan(Path("/d"), "m", host="0.0.0.0", port=8001), "http://127.0.0.1:8901/v1"),
        (Plan(Path("/d"), "m", port=65000), "http://127.0.0.1:64100/v1"),
        (Plan(Path("/d"), "m", admin_port=9001), "http://127.0.0.1:9001/v1"),
    ],
)
def test_the_admin_api_is_beside_the_api_and_only_on_this_machine(plan: Plan, url: str) -> None:
    assert plan.admin_url == url
