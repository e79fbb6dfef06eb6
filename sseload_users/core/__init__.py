"""The account: codes, schedule, ledger, statistics. No sockets, no gevent, no Locust."""
