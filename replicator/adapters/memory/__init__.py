"""Every port in memory, for tests, simulation and benchmarks; as strict as the real ones."""
