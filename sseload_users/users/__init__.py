"""The Locust users: clients that listen, and one that broadcasts."""
