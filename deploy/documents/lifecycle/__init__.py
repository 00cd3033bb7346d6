"""Every order status × every message, as the core of checkout decides it: for docs/lifecycle.md and its test.

`situations.py` has the columns, `messages.py` the rows, `walk.py` drives the core, `page.py` writes it down.
"""
