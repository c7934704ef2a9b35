"""Every port in memory, for tests, the simulation and benchmarks; as strict as the real ones."""
