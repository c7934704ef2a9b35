"""Planted bugs: small wrong versions of the product, each of which a test must catch."""
