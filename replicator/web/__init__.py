"""Over HTTP: metrics, health and status, for those who monitor a running replicator."""
