"""The items of the API: each noun of the record as its route shows it.

Each is described once, by the frozen struct that is built here, encoded by the handlers and shown
by the OpenAPI document. They are built nowhere else, because the feed keeps the item of every
change as it was then: the writer calls these within its transaction, the API for its answers. A
few statements build any number of items. Times are RFC 3339 UTC, amounts integers; every key is
always there, null where there is nothing.
"""
