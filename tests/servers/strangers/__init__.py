"""Servers of many shapes, written as programs that know nothing of load tests."""
