"""Find out which cases of a parametrized test were selected, so that only those are run."""

from __future__ import annotations

from typing import Any

import pytest


def selected_params(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the parameters of each selected test of the fixture's module."""
    return [
        item.callspec.params
        for item in request.session.items
        if item.parent is request.node and hasattr(item, "callspec")
    ]
