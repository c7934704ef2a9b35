"""Over HTTP: metrics, health and status, for those who watch over a running replicator."""
