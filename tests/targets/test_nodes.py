"""The nodes that --nodes names: URLs, and addresses of a name."""

from __future__ import annotations

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.targets.hosts import join_node, parse_nodes, split_node


@pytest.mark.parametrize(
    ("given", "url", "address"),
    [
        ("http://a:80", "http://a:80", None),
        ("http://a:80=10.0.0.1", "http://a:80", "10.0.0.1"),
        ("https://a=2001:db8::1", "https://a", "2001:db8::1"),
        ("https://a=[2001:DB8:0::1]", "https://a", "2001:db8::1"),
        # What is no address belongs to the path.
        ("http://a/x=y", "http://a/x=y", None),
        ("http://a/x=y=127.0.0.1", "http://a/x=y", "127.0.0.1"),
    ],
)
def test_a_node_may_have_an_address(given: str, url: str, address: str | None) -> None:
    assert split_node(given) == (url, address)
    (node,) = parse_nodes(given)
    assert node == join_node(url, address)
    assert parse_nodes(node) == (node,)


def test_nodes_are_normalized_and_differ() -> None:
    assert parse_nodes("ws://a/ , http://b=10.0.0.1\nhttp://b=10.0.0.2") == (
        "http://a", "http://b=10.0.0.1", "http://b=10.0.0.2",
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"http://a=10.0.0.1 is given twice; give each node once"):
        parse_nodes("http://a=10.0.0.1,ws://a/=10.0.0.1")
    with pytest.raises(ConfigError, match="Invalid host 'a'"):
        parse_nodes("a=10.0.0.1")
