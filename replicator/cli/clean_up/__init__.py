"""The verbs that decide what a store keeps: `expire`, `lock`, `hold`; one file for each."""
