"""GraphQL subscriptions by their three protocols, on the packages that define them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from tests.protocols.contract import Changes, ProtocolContract, Served, Wrong
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version
from tests.support.runs import QUICK, run

#: A token that the server does not know.
STRANGER: Changes = (
    (
        'send = [{ "type" = "connection_init" }]',
        'send = [{ "type" = "connection_init", "payload" = { "token" = "stranger" } }]',
    ),
)


class GraphQL(ProtocolContract):
    """What the three have in common.

    Attributes:
        module: the package with the server and the official client.
    """

    module: ClassVar[str]
    channels = ()
    refused: ClassVar[Mapping[str, Wrong]] = {
        "field": Wrong(
            "Cannot query field",
            options=("--value", "subscription=subscription { nope }"),
        ),
        "channel": Wrong("there is no channel", options=("--value", "channel=nosuch")),
        "mutation": Wrong(
            "Cannot query field",
            options=("--value", "mutation=mutation { nope }"),
        ),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the package's server."""
        # The subscription takes effect within a second, by the profiles.
        return node_server("graphql.js", cls.module, options=("--settle", "1"))

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by the package's client."""
        return node_client(
            "graphql.js", served, module=cls.module, connections=connections, codes=codes
        )


class TestGraphQLTransportWs(GraphQL):
    """The protocol graphql-transport-ws, which the package graphql-ws defines."""

    profile = "graphql-transport-ws"
    module = "graphql-ws"
    server = f"graphql-ws {npm_version('graphql-ws')}"
    client = f"graphql-ws {npm_version('graphql-ws')}"
    wrong: ClassVar = {
        **GraphQL.refused,
        "token": Wrong("4403 (Forbidden)", changes=STRANGER),
        "path": Wrong("HTTP 400", path="/nosuch"),
        "subprotocol": Wrong(
            "subprotocol", changes=(('subprotocols = ["graphql-transport-ws"]',
                                     'subprotocols = ["graphql-ws"]'),)
        ),
    }  # fmt: skip

    def test_no_code_is_missing_while_the_server_subscribes(self, tmp_path: Path) -> None:
        """The server takes 0.9 s to subscribe; codes of that time are not owed."""
        with node_server("graphql.js", self.module, "900") as served:
            outcome = run(
                tmp_path, "20", "20", "1", "-r", "200", *QUICK, "--settle", "0",
                "--target", self.profile, "--host", served.url,
            )  # fmt: skip
        deliveries = outcome.report["deliveries"]
        assert deliveries["missing"] == 0
        assert deliveries["delivered"] == deliveries["owed"] < 20 * 20


class TestGraphQLWs(GraphQL):
    """The older protocol, called graphql-ws, of the package subscriptions-transport-ws."""

    profile = "graphql-ws"
    module = "subscriptions-transport-ws"
    server = f"subscriptions-transport-ws {npm_version('subscriptions-transport-ws')}"
    client = f"subscriptions-transport-ws {npm_version('subscriptions-transport-ws')}"
    wrong: ClassVar = {
        **GraphQL.refused,
        "token": Wrong("this token is unknown", changes=STRANGER),
        "path": Wrong("HTTP 400", path="/nosuch"),
    }


class TestGraphQLSse(GraphQL):
    """Server-sent events, as the package graphql-sse defines them."""

    profile = "graphql-sse"
    module = "graphql-sse"
    server = f"graphql-sse {npm_version('graphql-sse')}"
    client = f"graphql-sse {npm_version('graphql-sse')}"
    wrong: ClassVar = {
        **GraphQL.refused,
        "token": Wrong(
            "this token is unknown",
            changes=(('# headers = { "Authorization" = "Bearer {token}" }',
                      'headers = { "Authorization" = "Bearer stranger" }'),),
        ),
        "path": Wrong("HTTP 404", path="/nosuch"),
    }  # fmt: skip
