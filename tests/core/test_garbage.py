"""Garbage collection: suspended while modules are imported, and without them afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from sseload_users.core.garbage import Growth, kept


def test_what_is_created_meanwhile_is_kept_and_the_collector_goes_on() -> None:
    assert gc.isenabled()
    try:
        with kept():
            assert not gc.isenabled()
            made: list[object] = [{}, {}]
        assert gc.isenabled()
        with pytest.raises(ZeroDivisionError), kept():
            _ = 1 / 0
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        known = {id(each) for each in gc.get_objects()}
        assert not {id(made), *map(id, made)} & known
        later: list[object] = [[]]
        assert id(later) in {id(each) for each in gc.get_objects()}
        gc.disable()
        with kept():
            pass
        assert not gc.isenabled()
    finally:
        gc.unfreeze()
        gc.enable()


def test_a_users_import_leaves_the_modules_to_nobody() -> None:
    """After the import in a locustfile, the collector has little to go through."""
    script = (
        "import gc, locust\n"
        "from sseload_users import CodeListener\n"
        "print(gc.isenabled(), len(gc.get_objects()), gc.get_freeze_count())\n"
    )
    asked = [sys.executable, "-c", script]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "True"
    assert int(said[1]) < int(said[2]) / 10


def test_the_collector_waits_for_more_while_the_process_grows() -> None:
    usual, growth = gc.get_threshold(), Growth()
    with growth:
        with growth:
            pass
        assert gc.get_threshold() == (Growth.THRESHOLD, *usual[1:])
    assert gc.get_threshold() == usual
