"""What the server did, as Prometheus reads it: requests by endpoint and status, their seconds, memory."""

import prometheus_client

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)  # seconds
OTHER = "other"  # endpoint of paths that are none: anyone can make up as many as they like
TYPE = prometheus_client.CONTENT_TYPE_LATEST


class Metrics:
    """Counts of one server. Names and units follow Prometheus' conventions."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self._requests = prometheus_client.Counter(
            "socialjax_requests", "Requests by endpoint and status.", ("endpoint", "status"), registry=self.registry
        )
        self._seconds = prometheus_client.Histogram(
            "socialjax_request_seconds",
            "Seconds from the request's headers to the end of the answer.",
            ("endpoint",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._waiting = prometheus_client.Gauge(
            "socialjax_waiting", "Questions that are computed or wait for it.", registry=self.registry
        )
        prometheus_client.ProcessCollector(registry=self.registry)  # resident memory, CPU seconds, open files

    def count(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests.labels(endpoint, status).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def watch_queue(self, length) -> None:
        """From now on the gauge is what `length()` returns."""
        self._waiting.set_function(length)

    def text(self) -> bytes:
        """All of it in the text format, whose content type is `TYPE`."""
        return prometheus_client.generate_latest(self.registry)
