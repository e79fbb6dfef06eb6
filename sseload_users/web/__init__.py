"""Pages and endpoints in Locust's web UI, and metrics for Prometheus."""
