"""Settings: strict, prefixed, and errors that name the variable."""

import pytest

from chassis.settings import ServiceSettings, SettingsError, load, service_config


class Example(ServiceSettings):
    model_config = service_config("example")

    port: int = 1
    """A number."""


def test_variables_with_the_prefix_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_EXAMPLE_PORT", "7")
    assert load(Example).port == 7


def test_a_misspelt_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_EXAMPLE_PROT", "7")
    with pytest.raises(SettingsError, match="CAPSTAN_EXAMPLE_PROT: no such setting"):
        load(Example)


def test_a_wrong_value_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSTAN_EXAMPLE_PORT", "many")
    with pytest.raises(SettingsError, match="CAPSTAN_EXAMPLE_PORT: "):
        load(Example)


@pytest.mark.parametrize("address", ["8000", "host:", "host:http", "host:99999", "unix:relative.sock", ":1"])
def test_an_address_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("CAPSTAN_EXAMPLE_OPS_LISTEN", address)
    with pytest.raises(SettingsError, match="OPS_LISTEN"):
        load(Example)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        Example().port = 2  # type: ignore[misc]


def test_every_setting_of_the_chassis_has_a_description() -> None:
    assert all(field.description for field in ServiceSettings.model_fields.values())
