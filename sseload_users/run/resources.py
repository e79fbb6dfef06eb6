"""What all parts of a run use: options, target, network and identities, made once for a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity, load_identities
from sseload_users.transports.network import Network


@dataclass(frozen=True, slots=True)
class Resources:
    """What all parts of a run use in one process.

    Attributes:
        options: the run's options.
        target: the target that the options select.
        network: opens all connections.
        identities: users that connect, in turn; never empty.
    """

    options: Options
    target: Target
    network: Network
    identities: Sequence[Identity]

    @classmethod
    def of(cls, options: Options, host: str) -> Resources:
        """Make the resources that the options describe.

        Args:
            options: the run's options.
            host: URL of the target.

        Raises:
            ConfigError: the profile, the host, the users file, a certificate file or a source
                address cannot be used.
        """
        target = options.make_target(host)
        try:
            network = Network(
                connect_timeout=options.connect_timeout,
                ca_file=options.ca_file,
                client_certificate=options.client_certificate,
                client_key=options.client_key,
                insecure=options.insecure,
                resume_tls=options.resume_tls,
                source_addresses=options.source_addresses,
                slow_rate=options.slow_rate,
                compression=not options.no_compression,
            )
            if target.host.startswith("https"):
                # The context is made on first use; an unusable file is reported before that.
                _ = network.ssl_context
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
        return cls(options, target, network, load_identities(options.users_file, options.username))
