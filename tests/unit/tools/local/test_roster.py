"""The roster names every service, and gives each only settings that it knows and accepts."""

import importlib
import json
import stat
from pathlib import Path

import pytest

from chassis.settings import ServiceSettings, load
from tools.local import assembly, roster
from tools.local.folder import DataFolder
from tools.local.layout import Layout
from tools.local.plan import Plan
from tools.local.problem import Problem
from tools.local.roster import DEMO_MODEL, DEMO_NAME, GATEWAY_CALLS, refuse_bad_model, served_model

ROOT = Path(__file__).resolve().parents[4]
LIFELINE = 42


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    folder = DataFolder(tmp_path / "data")
    folder.make()
    return Layout(Plan(folder.root, str(DEMO_MODEL)), folder)


def existing_services() -> set[str]:
    return {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")}


def test_every_service_runs(layout: Layout) -> None:
    running = {service.module.removeprefix("services.") for service in roster.services(layout)}
    assert running == existing_services()


def test_every_setting_is_known_and_accepted(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services refuse unknown variables of theirs, so this is what keeps a renamed setting from being missed."""
    units = {unit.name: unit for unit in assembly.units(layout.plan, layout.folder, LIFELINE)}
    for service in roster.services(layout):
        settings_type = importlib.import_module(f"{service.module}.settings").Settings
        assert issubclass(settings_type, ServiceSettings)
        with monkeypatch.context() as environment:
            for name, value in units[service.name].environment.items():
                environment.setenv(name, value)
            settings = load(settings_type)
        assert settings.parent_fd == LIFELINE
        assert settings.listen == layout.address(service.name)


def test_the_gateway_is_told_where_its_peers_are(layout: Layout) -> None:
    addresses = {service.name: layout.address(service.name) for service in roster.services(layout)}
    gateway = next(service for service in roster.services(layout) if service.name == "gateway")
    for peer in GATEWAY_CALLS:
        assert gateway.settings[f"{peer.upper()}_ADDRESS"] == addresses[peer]


def test_the_router_is_told_of_every_engine(layout: Layout) -> None:
    engines = {service.name for service in roster.services(layout) if service.package == "inference"}
    router = next(service for service in roster.services(layout) if service.name == "router")
    assert {replica["id"] for replica in json.loads(router.settings["REPLICAS"])} == engines


def test_only_the_gateway_listens_on_ports(layout: Layout) -> None:
    units = assembly.units(layout.plan, layout.folder, LIFELINE)
    ports = {name for unit in units for name, value in unit.environment.items() if value.startswith("127.0.0.1:")}
    assert ports == {"CAPSTAN_GATEWAY_HTTP_LISTEN", "CAPSTAN_GATEWAY_ADMIN_LISTEN"}


def test_what_a_unit_waits_for_exists_and_comes_before_it(layout: Layout) -> None:
    seen: set[str] = set()
    for unit in assembly.units(layout.plan, layout.folder, LIFELINE):
        assert set(unit.after) <= seen
        seen.add(unit.name)


def test_the_door_closes_first_and_the_stores_last(layout: Layout) -> None:
    tiers = {unit.name: unit.tier for unit in assembly.units(layout.plan, layout.folder, LIFELINE)}
    assert tiers["gateway"] == max(tiers.values())
    assert {name for name, tier in tiers.items() if tier == 0} == {"postgres", "valkey"}


def test_secrets_are_made_once_and_private(layout: Layout) -> None:
    assembly.units(layout.plan, layout.folder, LIFELINE)
    made = {path.name: path.read_text() for path in layout.folder.secrets.iterdir()}
    assert set(made) == set(roster.SECRETS)
    assembly.units(layout.plan, layout.folder, LIFELINE)
    for path in layout.folder.secrets.iterdir():
        assert path.read_text() == made[path.name]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lost_secret_is_not_replaced_under_a_database(layout: Layout) -> None:
    assembly.units(layout.plan, layout.folder, LIFELINE)
    layout.folder.postgres.mkdir()
    (layout.folder.postgres / "PG_VERSION").write_text("18\n")
    assembly.units(layout.plan, layout.folder, LIFELINE)
    (layout.folder.secrets / "pepper").unlink()
    with pytest.raises(Problem, match="no key in the database is valid without it"):
        assembly.units(layout.plan, layout.folder, LIFELINE)
    assert not (layout.folder.secrets / "pepper").exists()


def test_the_users_word_about_a_service_wins(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_RATELIMIT_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("CAPSTAN_DATA_DIR", "/elsewhere")
    units = {unit.name: unit for unit in assembly.units(layout.plan, layout.folder, LIFELINE)}
    assert units["ratelimit"].environment["CAPSTAN_RATELIMIT_LOG_LEVEL"] == "DEBUG"
    assert "CAPSTAN_RATELIMIT_LOG_LEVEL" not in units["gateway"].environment
    assert "CAPSTAN_DATA_DIR" not in units["gateway"].environment


def test_the_plan_has_the_last_word(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_RATELIMIT_LOG_LEVEL", "DEBUG")
    plan = Plan(layout.folder.root, str(DEMO_MODEL), environment={"CAPSTAN_RATELIMIT_LOG_LEVEL": "ERROR"})
    units = {unit.name: unit for unit in assembly.units(plan, layout.folder, LIFELINE)}
    assert units["ratelimit"].environment["CAPSTAN_RATELIMIT_LOG_LEVEL"] == "ERROR"


def test_names_in_everybodys_samples_stand_for_what_runs_here(layout: Layout) -> None:
    aliases = json.loads(roster.router_settings(layout)["ALIASES"])
    assert {aliases[name] for name in ("gpt-4o", "gpt-4", "gpt-3.5-turbo")} == {DEMO_NAME}
    assert aliases["text-embedding-3-small"] == roster.EMBEDDING_NAME


def test_clients_ask_for_a_model_by_its_folders_name(tmp_path: Path) -> None:
    assert served_model(str(DEMO_MODEL)) == DEMO_NAME
    assert served_model(str(tmp_path)) == tmp_path.name
    assert served_model("organisation/name") == "organisation/name"


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="is not a model's folder"):
        refuse_bad_model(str(tmp_path))
    with pytest.raises(Problem, match="There is no folder"):
        refuse_bad_model(str(tmp_path / "none"))
    refuse_bad_model(str(DEMO_MODEL))
    refuse_bad_model("organisation/name")
