"""What each kind of cause usually means, and where to look first."""

from __future__ import annotations

from collections.abc import Mapping

from sseload_users.core.causes import CauseKind, classify


def hint(operation: str, cause: str, words: str = "") -> str:
    """Return where to look first, in one sentence; empty for an unknown cause.

    Args:
        operation: the operation that failed, such as "handshake" or "ingest".
        cause: its cause, such as "HTTP 503".
        words: the server's own words.
    """
    kind = classify(operation, cause, words)
    return "" if kind is None else _HINTS[kind]


_HINTS: Mapping[CauseKind, str] = {
    CauseKind.OPEN_FILES: "This machine's limit of open files was reached: raise it (ulimit -n) "
    "or use more workers.",
    CauseKind.LOCAL_PORTS: "This machine ran out of local ports for connections to that server: "
    "use --source-addresses or more machines.",
    CauseKind.SOURCE_ADDRESS: "None of --source-addresses has the server's address family (IPv4 "
    "or IPv6).",
    CauseKind.PROXY_PASSWORD: "The proxy, not the server, wants a user name and password: give "
    "--proxy http://user:password@host:port.",
    CauseKind.PROXY_GATEWAY: "The proxy could not connect to the server: check that it can "
    "resolve and reach the host, and NO_PROXY.",
    CauseKind.PROXY: "The proxy, not the server, refused or failed: check that it allows CONNECT "
    "to this host and port; NO_PROXY names hosts to connect to directly.",
    CauseKind.LISTENER_ERROR: "The test's own code raised an error: see the log above.",
    CauseKind.RUN_ENDED: "The run ended before this operation was complete.",
    CauseKind.UNKNOWN_HOST: "The name cannot be resolved: check the spelling of the host and the "
    "DNS.",
    CauseKind.RESOLVE_TIMEOUT: "The DNS gave no answer in time: check this machine's resolver.",
    CauseKind.INVALID_URL: "The URL is not valid for this transport: check --host and the profile.",
    CauseKind.REFUSED: "Nothing listens on that address and port, or the server's queue of new "
    "connections is full: check that the server runs, and its backlog.",
    CauseKind.UNREACHABLE: "There is no route to the server: check the network, the firewall and "
    "IPv4 or IPv6.",
    CauseKind.CERTIFICATE_EXPIRED: "The server's certificate has expired: renew it, or test with "
    "--insecure.",
    CauseKind.CERTIFICATE_HOST: "The certificate names another host: use the name in the "
    "certificate, with --resolve for a certain address, or test with --insecure.",
    CauseKind.CERTIFICATE_UNTRUSTED: "The certificate's issuer is not trusted here: pass its "
    "CA certificate with --ca-file, or test with --insecure.",
    CauseKind.NOT_TLS: "The port does not speak TLS: use http:// or ws://, or another port.",
    CauseKind.TLS: "TLS negotiation failed: check the proxy's TLS versions, ciphers and "
    "certificates.",
    CauseKind.UNCONFIRMED: "The handshake succeeded, but nothing confirmed the subscription in "
    "time: compare the profile's [confirm] with what the server sends; `check` shows it.",
    CauseKind.CONNECT_UNAUTHENTICATED: "The server requires credentials: check the user names and "
    "the token.",
    CauseKind.CONNECT_USER: "The server refuses this user: check the user names and that they "
    "exist on the server.",
    CauseKind.CONNECT_REJECTED: "The server's application refuses the connection and gives no "
    "reason: check the user names, the token and the namespace, and see its log.",
    CauseKind.CONNECT_FORBIDDEN: "The server refuses this user or this origin: check the user "
    "names and that they exist on the server, or name an origin with --header 'Origin: …'.",
    CauseKind.ORIGIN: "The server refuses this origin: name one that it accepts with "
    "--header 'Origin: …'.",
    CauseKind.STAY_AWAY: "The server has no stream for this client, and wants it not to come again "
    "(HTTP 204): check the path and the user.",
    CauseKind.HTTP_2: "Client and server do not agree on the version of HTTP: compare the "
    "profile's [connect] http with what the server and its proxies speak.",
    CauseKind.CONNECT_PATH: "There is no such path or namespace: check the target profile against "
    "the server.",
    CauseKind.REDIRECTED: "The server redirects to another address, and browsers do not follow "
    "that: use that address; often it is https:// instead of http://.",
    CauseKind.CONNECT_PROTOCOL: "The server does not accept the request for this protocol: check "
    "the path and the protocol version, and that proxies forward the Upgrade header.",
    CauseKind.CONNECT_RATE: "The server limits the rate of connections: connect more slowly (-r), "
    "or raise the limit for the test.",
    CauseKind.CONNECT_OVERLOADED: "The server or its proxy reports that it is overloaded: look at "
    "workers, connection limits and memory.",
    CauseKind.CONNECT_GATEWAY: "The proxy got no response from the application: it is down or "
    "asleep, or all its workers are busy.",
    CauseKind.CONNECT_SERVER_ERROR: "The application failed during the handshake: see its log.",
    CauseKind.CONNECT_HTTP: "The server did not switch protocols: check the path in the target "
    "profile.",
    CauseKind.NOT_EVENT_STREAM: "The response is a page, not an event stream: check the path, and "
    "whether it requires a login.",
    CauseKind.CONTENT_ENCODING: "The stream has a content coding that sseload cannot decode; it "
    "knows gzip, deflate and br: switch this one off for it, at the proxy too.",
    CauseKind.UNACKNOWLEDGED: "The server sends events but does not acknowledge the namespace: "
    "check the profile's namespace.",
    CauseKind.INVALID_REQUEST: "A header or the URL in the profile contains characters that HTTP "
    "does not allow.",
    CauseKind.INVALID_HANDSHAKE: "What responds there is not a server of this protocol: check the "
    "port and the path.",
    CauseKind.INVALID_EXTENSIONS: "The server accepts WebSocket extensions, or parameters of "
    "permessage-deflate, that the client did not offer or that RFC 7692 does not know; browsers "
    "fail there, too. --no-compression offers none.",
    CauseKind.CONNECT_TIMEOUT: "The server accepted no connection in time: its queue of new "
    "connections is full, or packets are lost on the way (a firewall).",
    CauseKind.HANDSHAKE_TIMEOUT: "The connection was accepted, but no response to the handshake "
    "came in time: the application is busy, or a proxy holds its response back. For an event "
    "stream, switch the proxy's buffering off.",
    CauseKind.HANDSHAKE_CLOSED: "The connection was closed without a response to the handshake: "
    "see the logs of the server and of proxies, and their limits of connections.",
    CauseKind.RESPONSE_TIMEOUT: "The connection was accepted, but no response came in time: the "
    "application is busy, or asleep.",
    CauseKind.SOCKETIO_VERSION: "The server speaks Socket.IO 2: set engine = 3 in the profile's "
    "[connect], or use --target socketio2.",
    CauseKind.ENGINE_VERSION: "The server speaks another version of Socket.IO: set engine in the "
    "profile's [connect] to 3 for Socket.IO 2, and to 4 for later ones.",
    CauseKind.UNKNOWN_SESSION: "A request reached a node that does not know the session: several "
    "nodes or processes without sticky sessions. Have the balancer send all requests of a client "
    "to the same node, by a cookie or by its address.",
    CauseKind.UNKNOWN_TRANSPORT: "The server does not offer this way to connect: compare the "
    "transports in the profile's [connect] with those of the server.",
    CauseKind.HTTP2_ONLY: "The server accepts HTTP/2 only: allow HTTP/1.1 there, which WebSocket "
    "handshakes and sseload's requests use.",
    CauseKind.DATABASE: "The server's response points to its database: look at its connection "
    "limits and at the application's pool.",
    CauseKind.INGEST_FORBIDDEN: "The server refuses the broadcaster's user: check its user name "
    "and token.",
    CauseKind.INGEST_PATH: "There is no such ingest path: check the target profile.",
    CauseKind.INGEST_GONE: "This version of the server no longer has that ingest path: check the "
    "profile against its documentation.",
    CauseKind.INGEST_TOO_LARGE: "The code or its request is too long for the server.",
    CauseKind.INGEST_RATE: "The server limits the rate of codes: send them further apart, or "
    "raise the limit for the test.",
    CauseKind.INGEST_REJECTED: "The server rejects the request: compare the profile's ingest body "
    "with what the server expects.",
    CauseKind.INGEST_GATEWAY: "The proxy got no response from the application: its workers are "
    "busy or down.",
    CauseKind.INGEST_OVERLOADED: "The server reports that it is overloaded: look at its workers "
    "and connection limits.",
    CauseKind.INGEST_SERVER_ERROR: "The server failed to process the code: see its log.",
    CauseKind.TIMEOUT: "No response came in time: the server is busy broadcasting, or its workers "
    "are blocked.",
    CauseKind.CHANNEL_UNCONFIRMED: "Nothing confirmed that in time: compare joined and left in the "
    "profile's [audience] with what the server sends.",
    CauseKind.HEARTBEAT: "The server went silent: it is overloaded, or the network lost the "
    "connection.",
    CauseKind.CLOSED_NORMALLY: "The server ended the session on purpose: look for its limits of "
    "time or connections.",
    CauseKind.CLOSED_GOING_AWAY: "The server is going away: it was restarted or stopped during "
    "the run.",
    CauseKind.CLOSED_POLICY: "The server reports that the client violated its policy: see its log.",
    CauseKind.CLOSED_TOO_LARGE: "The server reports that a message was too large for it.",
    CauseKind.CLOSED_SERVER_ERROR: "The server failed, or missed this client's heartbeat: see its "
    "log.",
    CauseKind.CLOSED_RESTART: "The server is restarting or asks clients to retry later: it is "
    "overloaded or being deployed.",
    CauseKind.CLOSED: "The server ended the session: see its log and its limits of time or "
    "connections.",
    CauseKind.CONNECTION_LOST: "The connection ended without a close message: the process "
    "crashed, or a proxy cut it off.",
    CauseKind.RESET: "The server or something in between cut the connection: a crash, a full "
    "queue, or a proxy's idle timeout.",
    CauseKind.MESSAGE_TOO_LARGE: "The server sent a message larger than the profile allows: if "
    "that is correct, raise max_message.",
    CauseKind.INFLATED_TOO_LARGE: "A compressed message is larger than the profile allows once it "
    "is inflated: if that is correct, raise max_message.",
    CauseKind.INFLATED_STREAM: "A few bytes of the stream inflate to more than 8 MiB: look at what "
    "the server sends there.",
    CauseKind.COMPRESSED_DATA: "What came compressed cannot be inflated, or goes on after its end: "
    "look at the compression of server and proxy; --no-compression does without.",
    CauseKind.RESERVED_BITS: "The server sets bits of frames that need an extension which this "
    "client did not offer: usually it compresses messages without having negotiated that.",
    CauseKind.INVALID_FRAME: "The server, or a proxy, sent a frame that RFC 6455 does not allow: "
    "look at its WebSocket library, and at writes to one connection from several threads.",
    CauseKind.INVALID_CHUNK: "The stream's HTTP chunks are invalid: look at the server's HTTP "
    "library, and at proxies that rewrite the stream.",
    CauseKind.UNDECODABLE: "What arrived cannot be decoded: look at the broadcast's encoding, and "
    "at proxies that rewrite it.",
}
