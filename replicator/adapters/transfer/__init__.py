"""Transfer of bytes, independent of storage: packing, hashing, limits, receipts, HTTP, proxies."""
