"""The demo on one machine: two clusters, replication, an accident, a restore, a proof."""
