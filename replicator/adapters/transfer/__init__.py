"""How bytes travel, whatever the storage: packing, hashing, limits, receipts, HTTP, proxies."""
