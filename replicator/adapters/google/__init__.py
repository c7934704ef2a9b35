"""Google Cloud Storage over its JSON API, with a token of the library's own chain."""
