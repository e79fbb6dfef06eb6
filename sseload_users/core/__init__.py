"""The account: codes, schedule, ledger, statistics. Pure: no sockets, no gevent, no Locust."""
