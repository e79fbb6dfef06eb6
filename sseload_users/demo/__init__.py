"""The embedded target: a real server to try sseload on, with faults to order and a record.

It speaks HTTP/1.1, WebSocket, Socket.IO and server-sent events from one event loop, and
writes down what it did to whom. ``python -m sseload_users.demo`` runs it;
``process.start`` runs it as a child; ``record.read`` reads what it wrote.
"""
