"""A client of the control API, made of its OpenAPI document by `make client`; nobody edits it."""
