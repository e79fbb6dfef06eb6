"""The model of a case for `check`, and the lines that many cases share."""

from __future__ import annotations

from dataclasses import dataclass

from sseload_users.verdict import hints


@dataclass(frozen=True)
class Case:
    """One check and its expected output.

    Attributes:
        name: of the test.
        after: the steps that succeed first.
        says: the lines after these.
        profile: a built-in one.
        changed: texts to replace in the profile.
        server: options of the embedded target.
        host: another host, by name, or another scheme; empty for the embedded target.
        words: further options of `check`.
        username: of the connection.
        status: the exit status.
        ingest: how codes are published, if changed from the built-in profile.
        where: the lines on where the code is, if the profile does not look for its path.
    """

    name: str
    after: str
    says: tuple[str, ...]
    profile: str = "websocket"
    changed: tuple[tuple[str, str], ...] = ()
    server: tuple[str, ...] = ()
    host: str = ""
    words: tuple[str, ...] = ()
    username: str = "loadtest"
    status: int = 1
    ingest: str = ""
    where: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """All expected lines."""
        name = "PROFILE" if self.changed else self.profile
        transport, path, ingest = ABOUT[self.profile]
        ingest = self.ingest or ingest
        lines = [
            (
                f"profile   {name} at HOST: {transport} at {path}, codes in by {ingest}, "
                f"as {self.username}"
            )
        ]
        for step in self.after.split():
            line = GOOD[step]
            if step == "connect":
                scheme = "HOST" if transport == "sse" else "WS"
                confirmed = "" if transport == "socketio" else ", and the server confirmed each"
                agreed = ", with HTTP/1.1" if transport == "sse" else ""
                line = (
                    f"connect   5 connections subscribed at {scheme}{path}{agreed}{confirmed}, "
                    "in N ms"
                )
            lines.append(line)
        for line in self.says:
            lines.append(line)
            if line == OK:
                lines += self.where or [f"          The code is at {WHERE[transport]}."]
        return lines


SOCKETIO = "Socket.IO message at /socket.io/, namespace /ws/ingest"
TOKEN = ("--value", "ingest_token=demo-ingest-token")
ABOUT = {
    "websocket": ("websocket", "/ws", "POST /api/ingest"),
    "sse": ("sse", "/stream", "POST /api/ingest"),
    "code-server": ("socketio", "/socket.io/", "POST /api/ingest"),
    "code-server-socket": ("socketio", "/socket.io/", SOCKETIO),
    "code-server-sse": ("sse", "/events", SOCKETIO),
    "nchan": ("websocket", "/sub", "POST /pub"),
}
ACCEPTED = (
    'POST HOST/api/ingest: HTTP 200 {"message":"Code received and broadcasted",'
    '"status":"success","username":"loadtest"}'
)
#: The line of each successful step; that of connect depends on the profile.
GOOD = {
    "health": 'health    GET HOST/health: HTTP 200 {"service":"code-server",'
    '"status":"healthy"}, in N ms',
    "verify": 'verify    GET HOST/api/users/loadtest/verify: HTTP 200 {"user_id":1,'
    '"username":"loadtest","verified":true}, in N ms',
    "before": "before    GET HOST/embed-stream: HTTP 200",
    "connect": "",
    "send": f"send      {ACCEPTED}, in N ms",
    "receive": "receive   all 5 connections received the code, N ms after it was sent",
    "pair": "send      2 codes at the same time: both accepted",
    "both": "receive   all 5 connections received both codes, N ms after they were sent",
}
#: The lines of publishing over a connection.
OVER_SOCKETIO = (
    "publish   connected at WS/socket.io/, in N ms",
    f"send      {SOCKETIO}: acknowledged, in N ms",
)
#: Where the embedded target has the code, by transport.
WHERE = {"websocket": "code", "sse": "code", "socketio": "[0].code of the event new_code"}
#: Three codes arrived everywhere.
OK = "ok        all 3 codes reached all 5 connections, and the profile fits the server."
SMALL = (
    "          This check was small: 3 codes to 5 connections. Rare losses, limits on clients or "
    "messages, and what happens under load show only in a run."
)
ONE_USER = (
    f"{SMALL} All connections were the same user, so it cannot tell whether users receive "
    "messages that are meant for others: give several with --users-file."
)
#: An event that the code server sends to each client first.
GREETED = (
    '          message without a code: 42/events,["connected",'
    '{"message":"Connected to events endpoint"}]'
)
UNVERIFIED = (
    """[verify]
path = "/api/users/{username}/verify"
expect = { fields = { "verified" = true } }
refuse = { fields = { "verified" = false } } # with status 404
""",
    "",
)


def see(operation: str, cause: str) -> str:
    """Return the line with the hint for a cause."""
    text = hints.hint(operation, cause)
    assert text
    return f"          → {text}"


NOT_WHERE = "receive   FAILED: the code came in a message, but not where the profile looks for it; "
NEVER_CAME = (
    "receive   FAILED: the code was accepted, but did not come within 0.7 s",
    (
        "          → Is the connection subscribed to what the code is broadcast to (user, channel, "
        "namespace)? See the server's log, and below what came instead."
    ),
)
BEFORE = "receive   FAILED: all 5 sessions ended before the code came: "
AFTER = "stay      FAILED: all 5 sessions ended after the code came: "
