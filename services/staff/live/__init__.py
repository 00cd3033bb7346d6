"""Changes of orders, as they happen."""
