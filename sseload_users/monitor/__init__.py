"""The server under load: its process, its metrics, its health check."""
