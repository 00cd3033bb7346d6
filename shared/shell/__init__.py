"""The I/O of every worker: see README.md."""

from shared.optional_packages import without

with without("rich"):  # structlog would load it to print errors in colour, as orderbus never does: 3.5 MB
    import structlog  # noqa: F401
