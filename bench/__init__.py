"""Benchmarks with goals: each script prints what it measured and fails when its goal is missed."""
