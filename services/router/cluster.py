"""Into the cluster's API with the pod's own service account."""

from __future__ import annotations

from pathlib import Path

from services.router.settings import Settings

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def namespace_of(settings: Settings) -> str:
    """Let the Kubernetes client use the service account; answer the namespace of the replicas.

    Raises `ValueError` when there is none, `ImportError` when the Kubernetes client is not installed.
    """
    from kubernetes import config

    try:
        config.load_incluster_config()
    except config.ConfigException as error:
        raise ValueError(f"the settings need Kubernetes, and this is no pod with a service account: {error}") from None
    return settings.endpoint_slices_namespace or NAMESPACE_FILE.read_text(encoding="utf-8").strip()
