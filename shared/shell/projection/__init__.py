"""Reads topics into the read models of a service, in step with Kafka. See shared/core/projection.py."""
