"""Amazon S3 and what speaks like it: one *service* says what counts, both clients obey it."""
