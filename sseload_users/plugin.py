"""What Locust is told to call: options, and the beginning and the end of runs."""

from __future__ import annotations

import signal
import sys
from typing import Any, cast

import gevent
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from sseload_users import options as run_options
from sseload_users.core.errors import ConfigError
from sseload_users.demo import process as demo
from sseload_users.options import Options
from sseload_users.run import memory
from sseload_users.run.leader import CANNOT, Leader, complain
from sseload_users.run.link import Link
from sseload_users.run.worker import Worker
from sseload_users.users.broadcaster import CodeBroadcaster
from sseload_users.users.classes import UserClasses
from sseload_users.users.delivery import Delivery
from sseload_users.users.listener import CodeListener
from sseload_users.web import metrics_server as metrics
from sseload_users.web import routes as web
from sseload_users.web.views import Views

__all__ = ["CodeBroadcaster", "CodeListener", "Delivery"]


def _on_parser(parser: LocustArgumentParser, **_: Any) -> None:
    run_options.add_to(parser)


def _on_init(environment: Environment, **_: Any) -> None:
    users = UserClasses.of(environment)
    if not users.listeners and not users.broadcasters:
        return
    _interrupt_where_locust_waits(environment)
    swarm = Link(environment)
    working = Worker(environment, swarm, users) if swarm.role != "master" else None
    leading: Leader | None = None
    if swarm.role != "worker":
        try:
            leading = Leader(environment, swarm, users, demo.start)
            leading.prepare()
            _show(environment, leading, users.options(environment))
        except ConfigError as error:
            complain(str(error))
            swarm.dismiss()
            sys.exit(CANNOT)
        else:
            _attach_leading(environment, leading)
    if working is not None:
        memory.watch(environment, working.give_up, CANNOT)
        environment.events.test_start.add_listener(lambda **_: working.begin())
        working.begin_if_late()
        # Added last, it runs first: before Locust says goodbye to the master.
        environment.events.quitting.add_listener(lambda **_: working.quit())
    if leading is not None:
        leads = leading
        environment.events.test_start.add_listener(lambda **_: leads.start())


def _show(environment: Environment, leading: Leader, options: Options) -> None:
    """Show the runs wherever they are to be seen.

    Raises:
        ConfigError: nobody can listen where the options say.
    """
    views = Views(leading)
    if environment.web_ui is not None:
        web.attach(environment.web_ui, views)
    if options.metrics_port is not None:
        metrics.serve(views.metrics, options.metrics_host, options.metrics_port)


def _interrupt_where_locust_waits(environment: Environment) -> None:
    """Have Ctrl-C end the run in order, and only once.

    Python raises KeyboardInterrupt in whatever runs just then, and that may be half-way
    through an account. Locust waits for it where it waits for the run.
    """
    main, hub = gevent.getcurrent(), cast("Any", gevent.get_hub())
    handle_error = hub.handle_error
    leaving = False

    def interrupt() -> None:
        nonlocal leaving
        end()
        leaving = True
        gevent.kill(main, KeyboardInterrupt)

    def end(**_: Any) -> None:
        # What is left to do takes seconds, and being told once more would cost the report.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)

    def on_error(context: object, kind: Any, value: Any, traceback: Any) -> None:
        nonlocal leaving
        if context is None and kind is SystemExit:
            # Locust's answer to SIGTERM. Of signals that came at once, one is enough: a further
            # exit would meet the interpreter as it ends.
            if leaving:
                return
            leaving = True
        handle_error(context, kind, value, traceback)

    hub.handle_error = on_error
    gevent.signal_handler(signal.SIGINT, interrupt)
    environment.events.quitting.add_listener(end)


def _attach_leading(environment: Environment, leading: Leader) -> None:
    hooks = environment.events
    hooks.test_start.add_listener(lambda **_: leading.begin())
    hooks.spawning_complete.add_listener(lambda **_: leading.on_spawned())
    hooks.test_stopping.add_listener(lambda **_: leading.end())
    hooks.test_stop.add_listener(lambda **_: leading.result())
    hooks.quit.add_listener(lambda **_: leading.print_summary())
    # Fired in reverse: what was added first runs last, after the runner's own.
    hooks.quitting._handlers.insert(0, lambda **_: leading.quit())  # noqa: SLF001


events.init_command_line_parser.add_listener(_on_parser)
events.init.add_listener(_on_init)
