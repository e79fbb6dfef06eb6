"""One run: the leader, its workers, and the messages between them."""
