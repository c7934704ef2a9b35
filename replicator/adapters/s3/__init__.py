"""Amazon S3 and compatible services: one `S3Service` holds the settings of both its clients."""
