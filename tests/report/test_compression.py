"""Compression in words."""

from __future__ import annotations

import pytest

from sseload_users.report.compression import compression_sentences
from sseload_users.report.model import CompressionFigures


@pytest.mark.parametrize(
    ("negotiated", "wire", "inflated", "sentences"),
    [
        ({}, 0, 0, []),
        ({"none": 5}, 0, 0, []),
        (
            {"permessage-deflate": 5},
            0,
            0,
            ["permessage-deflate in 5 of 5 sessions", "nothing came compressed"],
        ),
        (
            {"gzip": 1499, "none": 1},
            300,
            2048,
            ["gzip in 1,499 of 1,500 sessions", "300 bytes inflated to 2.0 KiB (14.6 %)"],
        ),
        # Long polling negotiates nothing for a session.
        ({"none": 2}, 1 << 20, 300 << 20, ["1.0 MiB inflated to 300 MiB (0.3 %)"]),
        # What cannot be compressed grows.
        ({"br": 1}, 101, 100, ["br in 1 of 1 session", "101 bytes inflated to 100 bytes"]),
        (
            {"a": 4, "b": 3, "c": 2, "d": 1},
            0,
            0,
            [
                *("a in 4 of 10 sessions", "b in 3 of 10 sessions", "c in 2 of 10 sessions"),
                *("1 further kind", "nothing came compressed"),
            ],
        ),
    ],
)
def test_figures_in_words(
    negotiated: dict[str, int], wire: int, inflated: int, sentences: list[str]
) -> None:
    figures = CompressionFigures(negotiated=negotiated, wire_bytes=wire, inflated_bytes=inflated)
    assert compression_sentences(figures) == sentences
