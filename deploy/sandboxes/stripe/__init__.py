"""A Stripe of our own: the part of its API that payments uses, on loopback, with money that is none. See README.md."""

from deploy.sandboxes.stripe.app import Settings, create_app

__all__ = ["Settings", "create_app"]
