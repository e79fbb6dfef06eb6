"""The cases for `check`: servers that work, and servers with each kind of fault."""

from __future__ import annotations

from tests.support.check_case import (
    ACCEPTED,
    AFTER,
    BEFORE,
    GOOD,
    GREETED,
    NEVER_CAME,
    NOT_WHERE,
    OK,
    ONE_USER,
    OVER_SOCKETIO,
    SOCKETIO,
    TOKEN,
    UNVERIFIED,
    Case,
    see,
)
from tests.support.socket_servers import CERTIFICATES

#: The steps after the first code was accepted.
RECEIVED = (GOOD["receive"], GOOD["pair"], GOOD["both"])

CASES = [
    Case("well", "health connect send receive pair both", (OK, ONE_USER), status=0),
    Case(
        "well by a regular expression",
        "health connect send receive pair both",
        (OK, ONE_USER),
        changed=(('field = "code"', "regex = 'LT-[0-9a-z-]+'"),),
        status=0,
        where=(
            "          The code is at code; the profile finds it by a regex.",
            """          → A path costs less. Write in the profile's [code]: field = "code".""",
        ),
    ),
    Case(
        "well by Socket.IO",
        "health verify connect send receive pair both",
        (GREETED, OK, ONE_USER),
        "code-server",
        status=0,
    ),
    Case(
        "well by Socket.IO alone",
        "health connect",
        (*OVER_SOCKETIO, *RECEIVED, GREETED, OK, ONE_USER),
        "code-server-socket",
        server=("--as", "today"),
        words=TOKEN,
        status=0,
    ),
    Case(
        "wrong ingest token",
        "health connect",
        (
            OVER_SOCKETIO[0],
            f"send      FAILED: {SOCKETIO}: rejected (Invalid ingest token)",
            "          → Give the server's ingest token: --value ingest_token=….",
            GREETED,
        ),
        "code-server-socket",
        server=("--as", "today", "--ingest-token", "the-right-one"),
        words=("--value", "ingest_token=another-one"),
    ),
    Case(
        "namespace of codes that is not there",
        "health connect",
        (
            "publish   FAILED: subscribe: unable to connect",
            see("subscribe", "unable to connect"),
            GREETED,
        ),
        "code-server-socket",
        changed=(('namespace = "/ws/ingest"', 'namespace = "/ws/in"'),),
        server=("--as", "today"),
        words=TOKEN,
        ingest="Socket.IO message at /socket.io/, namespace /ws/in",
    ),
    Case(
        "no answer to a code",
        "health connect",
        (
            OVER_SOCKETIO[0],
            f"send      FAILED: {SOCKETIO}: unanswered (no answer in time)",
            see("ingest", "no answer in time"),
            GREETED,
        ),
        "code-server-socket",
        server=("--as", "today", "--ingest-delay", "30"),
        words=TOKEN,
    ),
    Case(
        "well by a page's token",
        "health before connect",
        (*OVER_SOCKETIO, *RECEIVED, OK, ONE_USER),
        "code-server-sse",
        words=TOKEN,
        status=0,
    ),
    Case(
        "well by TLS",
        "health connect send receive pair both",
        (OK, ONE_USER),
        host="tls",
        words=("--ca-file", str(CERTIFICATES / "ca.pem")),
        status=0,
    ),
    Case(
        "came twice",
        "health connect send receive pair both",
        (OK, "          15 copies came more than once: clients see duplicates.", ONE_USER),
        server=("--duplicate", "1"),
        status=0,
    ),
    Case(
        "malformed beside it",
        "health connect send receive pair both",
        ("          malformed, 15 times: bad JSON", OK, ONE_USER),
        server=("--garbage", "1"),
        status=0,
    ),
    # It cannot be reached, or is not well
    Case(
        "unknown host",
        "",
        ("health    FAILED: GET HOST/health: no such host", see("resolve", "no such host")),
        host="nowhere",
    ),
    Case(
        "unknown host without a health check",
        "",
        ("connect   FAILED: resolve: no such host (…)", see("resolve", "no such host")),
        "nchan",
        host="nowhere",
    ),
    Case(
        "refused",
        "",
        (
            "health    FAILED: GET HOST/health: connection refused",
            see("connect", "connection refused"),
        ),
        host="closed",
    ),
    Case(
        "refused without a health check",
        "",
        ("connect   FAILED: connect: connection refused", see("connect", "connection refused")),
        "nchan",
        host="closed",
    ),
    Case(
        "never answered",
        "",
        ("health    FAILED: GET HOST/health: timed out", see("connect", "timed out")),
        server=("--accept-only",),
        words=("--connect-timeout", "0.5"),
    ),
    Case(
        "not well",
        "",
        (
            (
                'health    FAILED: GET HOST/health: HTTP 502 {"error":"The server is asleep"}: not '
                "what the profile expects of a healthy server"
            ),
            see("handshake", "HTTP 502"),
        ),
        server=("--asleep", "60"),
    ),
    Case(
        "TLS where there is none",
        "",
        (
            "health    FAILED: GET HOST/health: TLS: wrong version number",
            see("tls", "wrong version number"),
        ),
        host="https",
    ),
    Case(
        "certificate not trusted",
        "",
        (
            (
                "health    FAILED: GET HOST/health: certificate not trusted (unable to get "
                "local issuer certificate)"
            ),
            see("tls", "certificate not trusted"),
        ),
        host="tls",
    ),
    # It lets nobody in
    Case(
        "unknown user",
        "health",
        (
            (
                'verify    FAILED: GET HOST/api/users/Zo%C3%AB/verify: HTTP 404 {"username":'
                '"Zo\\u00eb","verified":false}: the server does not know the user \'Zoë\''
            ),
            "          → Create the user there, or name another with --username or --users-file.",
        ),
        "code-server",
        username="Zoë",
    ),
    Case(
        "unknown user, who gets no token",
        "health",
        (
            "before    GET HOST/embed-stream: HTTP 403",
            'connect   FAILED: before: HTTP 403 ({"error":"Unknown username"})',
            see("before", "HTTP 403"),
        ),
        "code-server-sse",
        words=TOKEN,
        username="nobody",
    ),
    Case(
        "unknown user, refused by a message",
        "health",
        (
            "connect   FAILED: subscribe: refused: Unauthorized or unknown username",
            see("subscribe", "Unauthorized or unknown username"),
        ),
        "code-server",
        changed=(UNVERIFIED,),
        username="nobody",
    ),
    Case(
        "verify route that is gone",
        "health",
        (
            (
                'verify    warning: GET HOST/api/users/loadtest/gone: HTTP 404 {"error":'
                "\"Not found\"}: whether the server knows the user 'loadtest' is not known"
            ),
            (
                "          → Newer versions of this server do not have this route: use --target "
                "code-server-socket, or code-server-sse for server-sent events, with --value "
                "ingest_token=…."
            ),
            "connect   5 connections subscribed at WS/socket.io/, in N ms",
            GOOD["send"],
            *RECEIVED,
            GREETED,
            OK,
            ONE_USER,
        ),
        "code-server",
        changed=(('{username}/verify"', '{username}/gone"'),),
        status=0,
    ),
    Case(
        "wrong path",
        "",
        (
            'connect   FAILED: handshake: HTTP 404 ({"error":"Not found"})',
            see("handshake", "HTTP 404"),
        ),
        "nchan",
    ),
    Case(
        "wrong namespace",
        "health verify",
        (
            "connect   FAILED: subscribe: unable to connect",
            see("subscribe", "unable to connect"),
        ),
        "code-server",
        changed=(('"/events"', '"/nosuch"'),),
    ),
    Case(
        "never confirmed",
        "health",
        (
            "connect   FAILED: subscribe: timed out",
            see("subscribe", "timed out"),
            '          message without a code: {"type":"connected","connection":N}',
        ),
        changed=(('"connected"', '"welcome"'),),
        words=("--connect-timeout", "0.5"),
    ),
    Case(
        "refused by a 503",
        "health",
        (
            'connect   FAILED: handshake: HTTP 503 ({"error":"Refused: 503"})',
            see("handshake", "HTTP 503"),
        ),
        server=("--refuse", "1"),
    ),
    Case(
        "refused by a reset",
        "health",
        ("connect   FAILED: handshake: connection reset", see("handshake", "connection reset")),
        "sse",
        server=("--refuse", "1", "--refuse-how", "reset"),
    ),
    # It does not take the code
    Case(
        "not accepted",
        "health connect",
        (
            (
                'send      FAILED: POST HOST/api/ingest: HTTP 410 {"error":"Injected '
                'fault"}: not accepted (HTTP 410)'
            ),
            see("ingest", "HTTP 410"),
        ),
        server=("--ingest-status", "410"),
    ),
    Case(
        "not accepted by another version",
        "health verify connect",
        (
            (
                'send      FAILED: POST HOST/api/ingest: HTTP 410 {"error":"Injected '
                'fault"}: not accepted (HTTP 410)'
            ),
            (
                "          → Newer versions of this server accept codes over a connection only: "
                "use --target code-server-socket, or code-server-sse for server-sent events, with "
                "--value ingest_token=…."
            ),
            GREETED,
        ),
        "code-server",
        server=("--ingest-status", "410"),
    ),
    Case(
        "not accepted, says the answer",
        "health verify connect",
        (
            f'send      FAILED: {ACCEPTED}: not accepted (HTTP 200, but status is not "queued")',
            GREETED,
        ),
        "code-server",
        changed=(('"status" = "success"', '"status" = "queued"'),),
    ),
    Case(
        "no answer to the code",
        "health connect",
        ("send      FAILED: POST HOST/api/ingest: timed out", see("ingest", "timed out")),
        server=("--ingest-delay", "3"),
        words=("--ingest-timeout", "0.5"),
    ),
    # The code does not come
    Case("accepted, and never came", "health connect send", NEVER_CAME, server=("--lose", "1")),
    Case(
        "accepted, and something else came",
        "health connect send",
        (*NEVER_CAME, '          message without a code: data: {"type":"ping"}'),
        "sse",
        server=("--lose", "1", "--sse-ping", "0.5"),
    ),
    Case(
        "not where the profile looks",
        "health connect send",
        (
            NOT_WHERE
            + 'the code is at code: {"type":"new_code","code":"CODE","username":"loadtest",'
            '"timestamp":…,"offset":…}',
            '          → Write in the profile\'s [code]: field = "code".',
        ),
        changed=(('field = "code"', 'field = "text"'),),
    ),
    Case(
        "in an event of another name",
        "health verify connect send",
        (
            NOT_WHERE + 'the code is at [0].code of the event new_code: 42/events,["new_code",'
            '{"code":"CODE","source":"load-test","type":"default","username":"loadtest","user_id":1,"metadata":{},"timestamp":…',
            '          → Write in the profile\'s [code]: event = "new_code", field = "[0].code".',
            GREETED,
        ),
        "code-server",
        changed=(('"new_code"', '"code"'),),
    ),
    Case(
        "closed before the code came",
        "health connect send",
        (BEFORE + "closed by server: 1011", see("session", "closed by server: 1011")),
        server=("--drop", "1", "--drop-code", "1011", "--delay", "1:0.5"),
    ),
    Case(
        "reset before the code came",
        "health connect send",
        (BEFORE + "connection reset", see("session", "connection reset")),
        "sse",
        server=("--drop", "1", "--drop-how", "reset", "--delay", "1:0.5"),
    ),
    Case(
        "ended before the code came",
        "health connect send",
        (BEFORE + "end of stream", see("session", "end of stream")),
        "sse",
        server=("--drop", "1", "--delay", "1:0.5"),
    ),
    # It comes, but
    Case(
        "closed after the code came",
        "health connect send receive",
        (AFTER + "closed by server: 1001", see("session", "closed by server: 1001")),
        server=("--drop", "1"),
    ),
    Case(
        "a broken frame after it",
        "health connect send receive",
        (
            AFTER + "protocol error: unknown opcode",
            see("session", "protocol error: unknown opcode"),
            "          malformed, 5 times: unknown opcode",
        ),
        server=("--garbage", "1", "--garbage-how", "frame"),
    ),
]
