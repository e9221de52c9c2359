"""Settings of router."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from chassis.settings import ServiceSettings, service_config
from chassis.sockets import is_on_this_machine
from services.router.adapters import base_of
from services.router.policies import PolicyName


class ReplicaAddress(BaseModel):
    """A replica of the inference service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, max_length=128)
    """Name of the replica, unique, e.g. "chat-0"."""

    address: str = Field(min_length=1, max_length=256)
    """Its gRPC address: `unix:/path` or `host:port`. Gateways must reach it under the same."""


class Sleep(BaseModel):
    """How a model sleeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployment: str = Field(min_length=1, max_length=253)
    """The Deployment of its replicas."""

    idle_s: float = Field(default=900.0, ge=5)
    """Seconds without a request at any of its replicas after which it has none."""


class AdapterSettings(BaseModel):
    """An adapter of a served model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, max_length=1024)
    """Folder of its files, as the replicas see it: adapter_config.json and adapter_model.safetensors."""

    organization_ids: frozenset[str] = frozenset()
    """Organisations that may use it; for others there is no such model. Empty: all may."""


class Settings(ServiceSettings):
    """Where the replicas are, what else models are called, and when a replica is not asked."""

    model_config = service_config("router")

    replicas: tuple[ReplicaAddress, ...] = ()
    """All replicas, as JSON: `[{"id": "chat-0", "address": "unix:/run/chat-0.sock"}]`."""

    replicas_file: Path | None = None
    """File with the same JSON, read once at the start. Unset: `replicas` stands. Not both."""

    endpoint_slices: str = ""
    """In Kubernetes: label selector of the EndpointSlices whose ready endpoints are the replicas, e.g.
    `app.kubernetes.io/name=inference`; they are watched. Needs the package `kubernetes` and a service account that may
    list and watch them. Empty: `replicas` or `replicas_file` stands. Not both."""

    endpoint_slices_namespace: str = ""
    """Their namespace. Empty: the pod's own."""

    endpoint_slices_port: str = "grpc"
    """Name of the replicas' port in them. Empty: the first."""

    aliases: dict[str, str | dict[str, Annotated[int, Field(ge=1, le=1_000_000)]]] = Field(default_factory=dict)
    """Other names of models, as JSON: `{"gpt-4o-mini": "capstan-demo"}`, or with shares, for a canary:
    `{"gpt-4o-mini": {"capstan-demo": 95, "capstan-next": 5}}`. A served name wins over an alias."""

    adapters: dict[str, AdapterSettings] = Field(default_factory=dict)
    """LoRA adapters, as JSON by name, which is `ft:BASE:NAME` of a served model BASE:
    `{"ft:capstan-demo:shop": {"path": "/adapters/shop", "organization_ids": ["org-…"]}}`. A replica of the base loads
    one when a request asks for it, and needs `max_adapters` for that. Billed as the base, unless it has a price of its
    own."""

    fallbacks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Served models that stand in for one that has no capacity, the best first, as JSON: `{"big": ["small"]}`. What
    answered is billed, and named in the answer. A project with a list of allowed models gets none."""

    policy: PolicyName = "prefix_affinity"
    """How a replica is picked: prefix_affinity (where the prompt's beginning is cached), session (by the client's
    `x-session-id`), least_load, round_robin."""

    policies: dict[str, PolicyName] = Field(default_factory=dict)
    """The same for single served models, as JSON: `{"capstan-demo": "least_load"}`."""

    expected_models: dict[str, Literal["generate", "embed"]] = Field(default_factory=dict)
    """Models that are known before a replica has told, as JSON: `{"capstan-demo": "generate"}`. A request for one waits
    for its replica (503) instead of being wrong (404)."""

    may_sleep: dict[str, Sleep] = Field(default_factory=dict)
    """In Kubernetes: served models that have no replica while nobody uses them, as JSON: `{"capstan-demo":
    {"deployment": "capstan-model-capstan-demo", "idle_s": 900}}`. One that a request waits for gets its first replica
    from the router, which needs a service account that may get and patch `scale` of these Deployments; more than one is
    an autoscaler's business. Needs `endpoint_slices`; the Deployments are in the same namespace."""

    load_interval_s: float = Field(default=1.0, ge=0.1, le=60)
    """Longest silence asked of a replica, in seconds; it tells at once when its load changes."""

    stale_after_s: float = Field(default=5.0, gt=0)
    """Seconds after which a silent replica gets no requests."""

    stalled_after_s: float = Field(default=45.0, gt=0)
    """Seconds without a token, in spite of work, after which a replica gets none. More than the longest prefill."""

    queue_share: float = Field(default=0.25, ge=0)
    """Requests that may wait at a replica, as a share of those it runs at once; beyond that it is full. What waits
    there is in the order of arrival; what waits in the router is in the order of class and fairness."""

    queue_capacity: int = Field(default=1024, ge=0)
    """Requests that may wait in the router for one model; beyond that the least urgent are refused."""

    queue_ageing_s: float = Field(default=10.0, gt=0)
    """Seconds of waiting that make a class of requests (priority, default, flex, batch) as urgent as the next."""

    ejection_failures: int = Field(default=3, ge=1)
    """Failures in a row after which a replica is shut out."""

    ejection_pause_s: float = Field(default=1.0, gt=0)
    """Seconds until a replica that was shut out gets one request on trial; doubles each time that fails."""

    ejection_longest_pause_s: float = Field(default=30.0, gt=0)
    """Where the doubling ends, in seconds."""

    placement_expiry_s: float = Field(default=900.0, gt=0)
    """Seconds after which a placement that nobody released is forgotten. Longer than the longest request."""

    metrics_listen: str = ""
    """Address of the Kubernetes external metrics API, `host:port`, where autoscalers read the demand for models. Empty:
    not served."""

    metrics_certificate: Path | None = None
    """File with its certificate chain (PEM). Unset: plain HTTP, for loopback and for unix sockets."""

    metrics_key: Path | None = None
    """File with the certificate's key (PEM)."""

    metrics_client_ca: Path | None = None
    """File with the authority (PEM) whose certificate a caller must show: the cluster's front-proxy authority. Unset:
    whoever can connect may read the demand."""

    @field_validator("adapters")
    @classmethod
    def _adapter_names(cls, value: dict[str, AdapterSettings]) -> dict[str, AdapterSettings]:
        for name in value:
            base_of(name)
        return value

    @field_validator("metrics_listen")
    @classmethod
    def _metrics_address(cls, value: str) -> str:
        return cls._address(value)

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.metrics_certificate is None) != (self.metrics_key is None):
            raise ValueError("metrics_certificate and metrics_key need each other")
        if self.metrics_client_ca is not None and self.metrics_certificate is None:
            raise ValueError("metrics_client_ca needs metrics_certificate")
        if self.metrics_listen and self.metrics_certificate is None and not is_on_this_machine(self.metrics_listen):
            raise ValueError("metrics_listen is open to other machines and has no metrics_certificate")
        if self.replicas and self.replicas_file:
            raise ValueError("set replicas or replicas_file, not both")
        if self.endpoint_slices and (self.replicas or self.replicas_file):
            raise ValueError("set endpoint_slices or replicas, not both")
        if self.may_sleep and not self.endpoint_slices:
            raise ValueError("may_sleep needs endpoint_slices: nothing else finds a replica that was woken")
        if self.ejection_longest_pause_s < self.ejection_pause_s:
            raise ValueError("ejection_longest_pause_s is shorter than ejection_pause_s")
        if not all(self.aliases.values()):
            raise ValueError("an alias stands for nothing")
        _unique(self.replicas)
        return self

    def all_replicas(self) -> tuple[ReplicaAddress, ...]:
        """Answer the replicas from wherever they stand. Raises `ValueError` or `OSError` for an unusable file."""
        if self.replicas_file is None:
            return self.replicas
        try:
            found = TypeAdapter(tuple[ReplicaAddress, ...]).validate_python(json.loads(self.replicas_file.read_text()))
        except ValidationError as error:
            raise ValueError(f"{self.replicas_file}: {error}") from None
        _unique(found)
        return found


def _unique(replicas: tuple[ReplicaAddress, ...]) -> None:
    ids = [replica.id for replica in replicas]
    if len(set(ids)) != len(ids):
        raise ValueError("two replicas have the same id")
