"""The usual way, to measure orderbus against: the same order life and messages, as a careful team would write it
without a shell. Four services, each one process that handles one message at a time in one ORM transaction, remembers
processed messages in a table, writes a row per event to an outbox, and polls that outbox.

What is fair about it: indexes on what is looked up, pooled connections, statements that the ORM caches, prepared
statements, offsets committed once a second after the work, events produced in batches, gateways in the same process.
"""
