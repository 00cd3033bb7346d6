"""Messages become decisions here, many in one transaction.

`batcher.py` queues and retries, `batch.py` is the transaction: `claims.py` says which messages are handled, `rows.py`
has the rows that they need, `effects.py` turns decisions into rows to be written, `result.py` says what a commit leaves
to be done.
"""
