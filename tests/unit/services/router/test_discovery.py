"""What EndpointSlices say about where replicas are."""

from typing import Any

import pytest

from services.router.discovery import Slices, places


def piece(name: str, *endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "ports": [{"name": "ops", "port": 9100}, {"name": "grpc", "port": 9000}],
        "endpoints": list(endpoints),
        **more,
    }


def endpoint(pod: str, address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}}


def test_a_ready_endpoint_goes_by_its_pods_name() -> None:
    told = [piece("a", endpoint("chat-0", "10.0.0.1", ready=True), endpoint("chat-1", "10.0.0.2"))]
    assert places(told, "grpc") == {"chat-0": "10.0.0.1:9000", "chat-1": "10.0.0.2:9000"}
    assert places(told, "")["chat-0"] == "10.0.0.1:9100"
    assert places(told, "http") == {}


@pytest.mark.parametrize("conditions", [{"ready": False}, {"ready": False, "serving": True, "terminating": True}])
def test_one_that_is_not_ready_or_leaves_is_none(conditions: dict[str, bool]) -> None:
    assert places([piece("a", endpoint("chat-0", "10.0.0.1", **conditions))], "grpc") == {}


def test_an_endpoint_without_a_pod_goes_by_its_address() -> None:
    told = piece("a", {"addresses": ["fd00::1"]}, addressType="IPv6")
    assert places([told], "grpc") == {"fd00::1": "[fd00::1]:9000"}


@pytest.mark.parametrize("empty", [{"endpoints": None}, {"ports": None}, {"endpoints": [{"addresses": []}]}])
def test_a_slice_of_nothing_is_none(empty: dict[str, Any]) -> None:
    assert places([piece("a", endpoint("chat-0", "10.0.0.1")) | empty], "grpc") == {}


def test_events_change_single_slices() -> None:
    slices = Slices([piece("a", endpoint("chat-0", "10.0.0.1"))])
    slices.take("ADDED", piece("b", endpoint("chat-1", "10.0.0.2")))
    assert set(slices.places("grpc")) == {"chat-0", "chat-1"}
    slices.take("MODIFIED", piece("a", endpoint("chat-0", "10.0.0.1", ready=False)))
    slices.take("BOOKMARK", {"metadata": {"name": "a"}})
    assert set(slices.places("grpc")) == {"chat-1"}
    slices.take("DELETED", piece("b"))
    slices.take("DELETED", piece("never known"))
    assert slices.places("grpc") == {}
