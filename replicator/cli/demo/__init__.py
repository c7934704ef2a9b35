"""The whole story on one machine: two clusters, replication, an accident, restore, proof."""
