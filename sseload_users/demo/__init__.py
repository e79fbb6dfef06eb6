"""The embedded target: a real push server with fault injection and a ground-truth record.

One event loop serves HTTP/1.1, WebSocket, Socket.IO and server-sent events. The record says
what was written to which connection. ``python -m sseload_users.demo`` runs the server,
``process.start`` runs it as a child process, and ``record.read`` reads the record.
"""
