"""The verdict: thresholds, rules and hints. No sockets, no gevent, no Locust."""
