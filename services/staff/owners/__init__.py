"""The services that own orders, as staff's API reaches them for its callers."""
