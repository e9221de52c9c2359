"""The JSON Schema of a chart's values: a key that is not there, or a value of the wrong kind, fails the install."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.charts import values
from tools.charts.values import Value

Schema = dict[str, Any]

DRAFT = "http://json-schema.org/draft-07/schema#"
KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
CHARTS_OWN = {
    "listen", "ops_listen", "drain_delay_s", "grace_s", "transport", "tls_folder", "callers", "max_connection_age_s",
    "parent_fd", "http_listen", "admin_listen", "trusted_proxy_hops", "journal_path", "dsn", "dsn_file", "pepper_file",
    "valkey_url", "valkey_password_file",
    "auth_address", "ratelimit_address", "router_address", "moderation_address", "billing_address", "jobs_address",
    "model_name", "replicas", "replicas_file", "endpoint_slices", "endpoint_slices_namespace", "endpoint_slices_port",
    "metrics_listen", "metrics_certificate", "metrics_key", "expected_models", "may_sleep",
}  # fmt: skip
"""Settings that follow from the rest of the values."""
SOURCES = (
    "hf://[^/]+/[^/]+",
    "pvc://[a-z0-9.-]+(/.*)?",
    "oci://[^\\s#@]+/[^\\s#@/:]+(:[^\\s#@/:]+|@sha256:[0-9a-f]{64})(#[^\\s/#][^\\s#]*)?",
    "package://.+",
    "/.+",
)
"""Where a model may be: on the hub, on a claim, in an image or artefact (with a tag or digest; `#folder` in it), in a
package of the engine's image, or in a folder of it."""
MODEL_KEYS: Schema = {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._/:-]{0,95}$"},
    "source": {"type": "string", "pattern": f"^({'|'.join(SOURCES)})$"},
    "engine": {"enum": ["vllm", "simulator"]},
    "runner": {"enum": ["generate", "pooling"]},
    "adapters": {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "path"],
            "properties": {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$"},
                "path": {"type": "string", "pattern": "^/.+$"},
                "organizationIds": {"type": "array", "items": {"type": "string", "minLength": 1}},
            },
        },
    },
}


def of_chart(folder: Path, charts: Path) -> Schema:
    """Make the schema of the chart in `folder`; `charts` is where the services' charts are."""
    root = _object(values.read(folder / "values.yaml"), charts)
    more: Schema = {"chassis": {"type": "object"}}
    if folder.parent == charts:
        more |= {"enabled": {"type": "boolean"}, "global": {"type": "object"}}
    else:
        more |= {name: {"type": "object"} for name in services(charts)}
    root["properties"] |= more
    return {"$schema": DRAFT, "title": f"Values of the chart {folder.name}"} | root


def services(charts: Path) -> list[str]:
    """Names of the charts that have values: all but the library."""
    return sorted(path.parent.name for path in charts.glob("*/values.yaml"))


def _object(found: Sequence[Value], charts: Path) -> Schema:
    root: Schema = {"type": "object", "additionalProperties": False, "properties": {}}
    for value in found:
        place = root
        for key in value.path[:-1]:
            place = place["properties"].setdefault(
                key, {"type": "object", "additionalProperties": False, "properties": {}}
            )
        place["properties"][value.path[-1]] = {"description": value.description} | _leaf(value, charts)
    return root


def _leaf(value: Value, charts: Path) -> Schema:
    said = value.directives
    if "models" in said:
        return {"type": "array", "items": _model(charts)}
    if "settings" in said:
        return _settings(said["settings"][0])
    if "enum" in said:
        return {"enum": said["enum"]}
    schema: Schema = {"type": said["type"][0] if "type" in said else KINDS[type(value.default)]}
    if value.default == "" and schema["type"] != "string":  # not set
        schema |= {"type": [schema["type"], "string"], "maxLength": 0}
    for bound in ("min", "max"):
        if bound in said:
            schema[f"{bound}imum"] = int(said[bound][0])
    if "items" in said:
        schema["items"] = {"type": said["items"][0]}
    return schema


def _model(charts: Path) -> Schema:
    """An entry of `global.models`: its own keys, and any of the chart `inference`."""
    schema = _object(values.read(charts / "inference" / "values.yaml"), charts)
    schema["properties"] = MODEL_KEYS | schema["properties"]
    schema["required"] = ["name"]
    return schema


def _settings(service: str) -> Schema:
    """The settings of a service as its code declares them, without those that follow from other values."""
    declared: Any = importlib.import_module(f"services.{service}.settings").Settings
    whole: Schema = declared.model_json_schema()
    properties = {
        name: _resolved(schema, whole.get("$defs", {}))
        for name, schema in sorted(whole["properties"].items())
        if name not in CHARTS_OWN
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _resolved(schema: Any, definitions: Schema) -> Any:
    """`schema` with its references replaced, and without what only describes."""
    if isinstance(schema, list):
        return [_resolved(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    dropped = {"title", "default", "format", "writeOnly"}
    return {
        key: _resolved(item, definitions) for key, item in schema.items() if key not in dropped or key == "properties"
    }
