"""How this process's gRPC connections are secured, in and out: one decision for all of them.

local   unix sockets and loopback, plain: nothing leaves the machine
tls     mutual TLS: both sides show a certificate of the same private CA, and are called by name
mesh    plain on any address, because a service mesh encrypts and authenticates every connection
"""

from __future__ import annotations

from typing import Any

import grpc

from chassis import rpc_client
from chassis.certificates import CertificateFolder, Certificates
from chassis.clock import Clock
from chassis.renewed_channel import RenewedChannel
from chassis.settings import ServiceSettings
from chassis.sockets import AddressError, bind_mode_0600, is_on_this_machine


class Transport:
    """Makes channels, and lets a server listen, as the settings say."""

    def __init__(self, settings: ServiceSettings, clock: Clock) -> None:
        """Read the certificates, where there are any. Raises `OSError` when a file is missing."""
        self._kind = settings.transport
        self._folder = CertificateFolder(settings.tls_folder, clock.monotonic) if settings.tls_folder else None

    def connect(self, address: str, name: str | None = None, *, sticky: bool = False) -> grpc.aio.Channel:
        """Make a channel to `unix:/path` or `host:port`; it connects when first used and reconnects by itself.

        With TLS the peer must show a certificate for `name`; unset: for the host in `address`. `sticky`: of several
        addresses one is drawn and stayed with while it works, for a peer that remembers what it said.

        Raises:
            AddressError: the address is on another machine and nothing would protect the connection.
        """
        if self._kind == "local" and not is_on_this_machine(address):
            raise AddressError(f"{address}: gRPC without TLS goes to unix sockets and loopback only")
        if self._folder is None or address.startswith("unix:"):
            return rpc_client.connect(address, sticky=sticky)
        folder = self._folder

        def make(certificates: Certificates) -> grpc.aio.Channel:
            credentials = grpc.ssl_channel_credentials(certificates.authority, certificates.key, certificates.chain)
            return rpc_client.connect(address, credentials=credentials, peer_name=name, sticky=sticky)

        return RenewedChannel(folder.current, make)

    def listen(self, server: grpc.aio.Server, address: str) -> None:
        """Let `server` listen at `address`.

        Raises:
            AddressError: somebody else listens there, the address is not ours, or nothing would protect it.
        """
        if address.startswith("unix:"):
            bound = bind_mode_0600(address, server.add_insecure_port)
        elif self._folder is not None:
            bound = server.add_secure_port(address, _server_credentials(self._folder))
        elif self._kind == "local" and not is_on_this_machine(address):
            raise AddressError(f"{address}: gRPC without TLS listens on unix sockets and loopback only")
        else:
            bound = server.add_insecure_port(address)
        if not bound:
            raise AddressError(f"cannot listen on {address}")


def _server_credentials(folder: CertificateFolder) -> grpc.ServerCredentials:
    """Credentials that ask the folder again at each handshake; a client without a certificate is refused."""
    shown, first = folder.current()

    def renewed() -> Any:  # gRPC takes None for "as before", its types do not
        nonlocal shown
        generation, certificates = folder.current()
        if generation == shown:
            return None
        shown = generation
        return _configuration(certificates)

    return grpc.dynamic_ssl_server_credentials(_configuration(first), renewed, require_client_authentication=True)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(certificates.key, certificates.chain)], root_certificates=certificates.authority
    )
