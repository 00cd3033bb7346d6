"""All of orderbus in one process, on a seeded loop: the real cores and the real shell over ports in memory."""
