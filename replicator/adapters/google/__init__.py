"""Google Cloud Storage through its JSON API, with tokens that google-auth finds."""
