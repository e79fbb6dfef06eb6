"""Locust's hooks: sseload's options, and the begin and end of runs."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, cast

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from sseload_users import options as run_options
from sseload_users.core.errors import ConfigError
from sseload_users.core.garbage import kept
from sseload_users.options import Options
from sseload_users.run import early_signals, master_port, memory, spawn_messages, stats_memory
from sseload_users.run.link import Link
from sseload_users.run.worker import Worker
from sseload_users.users.broadcaster import CodeBroadcaster
from sseload_users.users.classes import UserClasses
from sseload_users.users.delivery import Delivery
from sseload_users.users.listener import CodeListener

if TYPE_CHECKING:
    from sseload_users.run.leader import Leader

__all__ = ["CodeBroadcaster", "CodeListener", "Delivery"]

#: Exit status of a run that cannot be carried out.
_CANNOT_RUN = 2


def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    run_options.add_to(parser)
    # Not on import: other programs import the package, too.
    early_signals.handle_early_signals(_CANNOT_RUN)


def _on_init(environment: Environment, **_: Any) -> None:
    users = UserClasses.of(environment)
    if not users.listeners and not users.broadcasters:
        return
    _end_in_order_on_signals(environment)
    early_signals.handle_signals_while_waiting(environment, _CANNOT_RUN)
    link = Link(environment)
    worker = Worker(environment, link, users) if link.role != "master" else None
    leader = _make_leader(environment, link, users) if link.role != "worker" else None
    if worker is not None:
        memory.watch(environment, worker.give_up, _CANNOT_RUN)
        spawn_messages.cheapen()
        environment.events.test_start.add_listener(lambda **_: worker.begin())
        worker.begin_if_late()
        # The last handler of this event runs first: before Locust takes leave of the master.
        environment.events.quitting.add_listener(lambda **_: worker.quit())
    if leader is not None:
        # After the worker's handler: both sides may be in this process.
        environment.events.test_start.add_listener(lambda **_: leader.start())


def _make_leader(environment: Environment, link: Link, users: UserClasses) -> Leader:
    """Return this process's leader; end the process if no run is possible."""
    # Imported here, as a worker needs neither reports nor pages.
    with kept():
        from sseload_users.demo import process as demo
        from sseload_users.run.leader import Leader, complain

    try:
        leader = Leader(environment, link, users, demo.start)
        leader.prepare()
        # Its handlers come first, so that the summary is printed before the last scrape.
        _attach_leader(environment, leader)
        _show(environment, leader, users.options(environment))
    except ConfigError as error:
        complain(str(error))
        link.dismiss()
        sys.exit(_CANNOT_RUN)
    except KeyboardInterrupt:
        # Locust expects it only later, and there is nothing to report yet: end silently.
        link.dismiss()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        raise
    return leader


def _show(environment: Environment, leader: Leader, options: Options) -> None:
    """Serve the runs' pages and metrics.

    Raises:
        ConfigError: the port or address of the web UI or of the metrics cannot be used.
    """
    with kept():
        from sseload_users.web import metrics_server, routes
        from sseload_users.web.listening import listen
        from sseload_users.web.views import Views

    views = Views(leader, options.history)
    if environment.web_ui is not None:
        # Locust listens later, and would fail with a traceback.
        listen(environment.web_ui.host, environment.web_ui.port, "--web-port", "--web-host").close()
        routes.attach(environment.web_ui, views, leader.next_run())
    if options.metrics_port is not None:
        server = metrics_server.MetricsServer(
            views.metrics, options.metrics_host, options.metrics_port
        )
        if options.metrics_wait and getattr(environment.parsed_options, "headless", False):
            wait = options.metrics_wait
            environment.events.quit.add_listener(lambda **_: server.wait_for_scrape(wait))


def _end_in_order_on_signals(environment: Environment) -> None:
    """End the run in order on SIGINT, SIGTERM and SIGHUP, and only once.

    Python raises KeyboardInterrupt in whatever code is running, perhaps in the middle of
    the account. So it is raised in the main greenlet instead, where Locust expects it.
    """
    main, hub = gevent.getcurrent(), cast("Any", gevent.get_hub())
    handle_error = hub.handle_error
    leaving = False

    def interrupt() -> None:
        nonlocal leaving
        end()
        leaving = True
        if early_signals.is_waiting(environment):
            cast("Any", environment.runner).quit()
        gevent.kill(main, KeyboardInterrupt)

    def end(**_: Any) -> None:
        # Writing the report takes seconds, and a further signal would prevent it.
        for each in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, each):
                signal.signal(getattr(signal, each), signal.SIG_IGN)

    def on_error(context: object, kind: Any, value: Any, traceback: Any) -> None:
        nonlocal leaving
        if context is None and kind is SystemExit:
            # Locust's handler of SIGTERM exits like this. A second exit while the interpreter
            # ends would fail.
            if leaving:
                return
            leaving = True
        handle_error(context, kind, value, traceback)

    hub.handle_error = on_error
    gevent.signal_handler(signal.SIGINT, interrupt)
    # Sent when the terminal closes; under nohup it is ignored, and stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        gevent.signal_handler(signal.SIGHUP, interrupt)
    environment.events.quitting.add_listener(end)


def _attach_leader(environment: Environment, leader: Leader) -> None:
    gevent.spawn(stats_memory.keep_small, environment)
    hooks = environment.events
    hooks.test_start.add_listener(lambda **_: leader.begin())
    hooks.spawning_complete.add_listener(lambda **_: leader.on_spawned())
    hooks.test_stopping.add_listener(lambda **_: leader.end())
    hooks.test_stop.add_listener(lambda **_: leader.result())
    hooks.quit.add_listener(lambda **_: leader.print_summary())
    # Handlers run in reverse order: the first one runs last, after Locust's own.
    hooks.quitting._handlers.insert(0, lambda **_: leader.quit())  # noqa: SLF001


master_port.explain_failures(_CANNOT_RUN)
events.init_command_line_parser.add_listener(_on_parser)
events.init.add_listener(_on_init)
