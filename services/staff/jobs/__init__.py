"""Jobs: exports of orders, and the same command to many of them. Rows that any worker takes up, one at a time."""
