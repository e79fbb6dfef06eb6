"""What all parts of a run use: options, target, network and identities, made once for a process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.targets import Emitting, Target
from sseload_users.targets.hosts import join_node, parse_nodes, split_node
from sseload_users.targets.identities import Identity, load_identities, pick_sender
from sseload_users.transports import ConnectFailed
from sseload_users.transports.client_certificate import ClientCertificate
from sseload_users.transports.dialer import Dialer
from sseload_users.transports.endpoint import parse_origin
from sseload_users.transports.network import Network


@dataclass(frozen=True, slots=True)
class Resources:
    """What all parts of a run use in one process.

    Attributes:
        options: the run's options.
        target: the target that the options select.
        network: opens all connections.
        identities: users that connect, in turn; never empty.
        sender: the user that codes are sent as: that of --sender, which then has no connections,
            or the first of those that connect.
    """

    options: Options
    target: Target
    network: Network
    identities: Sequence[Identity]
    sender: Identity

    @classmethod
    def of(cls, options: Options, host: str) -> Resources:
        """Make the resources that the options describe.

        Args:
            options: the run's options.
            host: URL of the target; empty for the first node.

        Raises:
            ConfigError: the profile, the host, the users file, a certificate file, a source
                address, a given address or a proxy cannot be used.
        """
        urls = [split_node(each)[0] for each in options.nodes]
        target = options.make_target(host or next(iter(urls), ""))
        _check_observation(options, target)
        nodes = [options.make_target(each) for each in urls]
        if options.publishers > 1 and Emitting.of(target) is not None:
            raise ConfigError(
                f"--publishers: in target {target.profile.name}, the listeners emit the codes; "
                "leave it out."
            )
        try:
            network = Network(
                connect_timeout=options.connect_timeout,
                ca_file=options.ca_file,
                client_certificate=_client_certificate(options),
                insecure=options.insecure,
                resume_tls=options.resume_tls,
                slow_rate=options.slow_rate,
                compression=not options.no_compression,
                dialer=Dialer(
                    resolve=options.resolve,
                    proxy=options.proxy,
                    source_addresses=options.source_addresses,
                ),
            )
            for each in (target, *nodes):
                if each.host.startswith("https"):
                    # The context is made on first use; an unusable file is reported before that.
                    _ = network.ssl_context
                name, port, secure = parse_origin(each.host)
                network.dialer.proxy_for(name, port, secure=secure)
        except ValueError as error:
            raise ConfigError(f"{error}.") from error
        identities = load_identities(options.users_file, options.username)
        sender = pick_sender(identities, options.sender)
        others = [each for each in identities if each.username != options.sender] or identities
        return cls(options, target, network, others, sender)

    def at(self, node: str) -> Resources:
        """Return the resources of what happens at one node: its target, and its address.

        Args:
            node: one of the options' nodes.
        """
        url, address = split_node(node)
        target, network = self.options.make_target(url), self.network
        if address is not None:
            network = network.pinned(parse_origin(target.host), address)
        return replace(self, target=target, network=network)

    @property
    def checked(self) -> Resources:
        """The resources of the checks before a run: of the host, or else of the first node."""
        first = next(iter(self.options.nodes), None)
        if first is None or self.target.host != split_node(first)[0]:
            return self
        return self.at(first)

    def expanded_nodes(self) -> tuple[str, ...]:
        """Return the nodes, with each address of a name that has several as one node.

        A name that cannot be resolved stays as it is: connecting tells why.

        Raises:
            ConfigError: a node is there twice.
        """
        found: list[str] = []
        deadline = time.monotonic() + self.options.connect_timeout
        for node in self.options.nodes:
            url, address = split_node(node)
            addresses: list[str] = []
            if address is None:
                with contextlib.suppress(ConnectFailed):
                    addresses = self.network.dialer.addresses(parse_origin(url), deadline)
            several = addresses[1:]
            found += [join_node(url, each) for each in addresses] if several else [node]
        return parse_nodes(",".join(found))

    @property
    def senders(self) -> Sequence[Identity]:
        """The users that codes are sent as, by publisher: in turn, beginning with the sender.

        With --sender, all publishers are that user.
        """
        users = [self.sender] if self.options.sender else self.identities
        return [users[each % len(users)] for each in range(self.options.publishers)]


def _check_observation(options: Options, target: Target) -> None:
    name, spec = target.profile.name, target.profile.spec
    if not options.observe:
        if spec.code.id is not None:
            raise ConfigError(
                f"Target {name} has code.id, which is for observation: give --observe, or say with "
                "field, regex or whole where the codes are."
            )
    elif spec.code.id is None:
        raise ConfigError(
            f"--observe: target {name} lacks code.id, the path to what identifies a message."
        )
    elif spec.audience is not None or spec.guarantee == "resume":
        what = "audience" if spec.audience is not None else 'guarantee = "resume"'
        raise ConfigError(
            f"--observe: leave {what} out of target {name}; who is owed a message that another "
            "client sent is then unknown."
        )


def _client_certificate(options: Options) -> ClientCertificate | None:
    if options.client_certificate is None:
        return None
    return ClientCertificate(
        options.client_certificate, options.client_key, options.client_key_password
    )
