"""The base of errors whose text is all that their reader needs."""


class ReportedError(Exception):
    """Says what is wrong and what to do. The command line prints the text, without a traceback, and exits."""

    exit_code = 1
    """1: it was tried and failed. 2: the settings were wrong, and nothing was done. All: docs/attention.md."""
