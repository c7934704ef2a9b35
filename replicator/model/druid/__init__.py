"""What Druid's own tables, payloads, rules and answers mean, release by release.

Used by the adapters of Druid and of metadata stores, and by standby and verification. Each file
names the sources of its facts.
"""
