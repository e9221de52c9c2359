"""Replicas come from the environment or from a file, and a mistake is said at the start."""

from pathlib import Path

import pytest

from chassis.settings import SettingsError, load
from services.router.app import rules
from services.router.settings import ReplicaAddress, Settings

REPLICAS = '[{"id": "chat-0", "address": "unix:/run/chat-0.sock"}, {"id": "chat-1", "address": "chat-1:9000"}]'


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(f"CAPSTAN_ROUTER_{name.upper()}", value)
    return load(Settings)


def test_replicas_and_aliases_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = environment(
        monkeypatch,
        replicas=REPLICAS,
        aliases='{"gpt-4o-mini": "capstan-demo"}',
        expected_models='{"capstan-demo": "generate"}',
    )
    assert settings.all_replicas() == (
        ReplicaAddress(id="chat-0", address="unix:/run/chat-0.sock"),
        ReplicaAddress(id="chat-1", address="chat-1:9000"),
    )
    assert settings.aliases == {"gpt-4o-mini": "capstan-demo"}
    assert settings.expected_models == {"capstan-demo": "generate"}


def test_replicas_are_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "replicas.json"
    file.write_text(REPLICAS)
    assert len(environment(monkeypatch, replicas_file=str(file)).all_replicas()) == 2
    file.write_text('[{"id": "chat-0"}]')
    with pytest.raises(ValueError, match="address"):
        environment(monkeypatch).all_replicas()


@pytest.mark.parametrize(
    "wrong",
    [
        {"replicas": '[{"id": "a", "address": "unix:/a"}, {"id": "a", "address": "unix:/b"}]'},
        {"replicas": '[{"id": "", "address": "unix:/a"}]'},
        {"replicas": '[{"id": "a", "address": "unix:/a", "weight": 3}]'},
        {"replicas": REPLICAS, "replicas_file": "/replicas.json"},
        {"expected_models": '{"capstan-demo": "sings"}'},
        {"ejection_pause_s": "60"},
        {"stale_after_s": "0"},
        {"stale_after": "5"},
        {"may_sleep": '{"chat": {"deployment": "model-chat"}}'},
        {"may_sleep": '{"chat": {"idle_s": 60}}', "endpoint_slices": "app=x"},
    ],
)
def test_a_mistake_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        environment(monkeypatch, **wrong)


def test_every_rule_has_its_setting() -> None:
    settings = Settings(stale_after_s=1, stalled_after_s=2, queue_share=3, ejection_failures=4, ejection_pause_s=5)
    made = rules(settings)
    assert (made.stale_after_s, made.stalled_after_s, made.queue_share) == (1, 2, 3)
    assert (made.ejection.failures, made.ejection.pause_s, made.ejection.longest_pause_s) == (4, 5, 30)
