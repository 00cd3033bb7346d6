"""What Stripe keeps of a charge, found where the report of its success does not say it."""

from __future__ import annotations

from deploy.sandboxes.client import StripeSandbox
from services.payments.domain.operations import FindFee
from services.payments.gateways.stripe.gateway import StripeGateway
from shared.core import OperatorFault, Retry
from tests.integration.stripe_sandbox_rig import CONTROL, Sandbox
from tests.integration.test_stripe_gateway import charge, gateway, key_of, paid, stripe_sandbox  # noqa: F401


async def test_the_fee_of_a_charge_that_the_customer_confirmed_is_found(
    gateway: StripeGateway,  # noqa: F811
    stripe_sandbox: Sandbox,  # noqa: F811
) -> None:
    """The report of its success does not have it."""
    asked = await paid(gateway, charge("pm_card_threeDSecureRequired"))
    find = FindFee("stripe", 1, asked.reference)
    assert isinstance(await gateway.perform(find, key_of()), Retry)
    async with StripeSandbox(stripe_sandbox.url, CONTROL) as bank:
        await bank.authenticate(asked.url, passed=True)
    usual = await paid(gateway, charge(attempt=2))
    assert usual.fee
    assert await gateway.perform(find, key_of()) == FindFee.Done(usual.fee)
    assert isinstance(await gateway.perform(FindFee("stripe", 1, "pi_none"), key_of()), FindFee.Failed)


async def test_it_waits_while_stripe_refuses_our_key(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:  # noqa: F811
    done = await paid(gateway)
    await stripe_sandbox.control("POST", "faults", kind="expired_key", count=None)
    assert isinstance(await gateway.perform(FindFee("stripe", 1, done.reference), key_of()), OperatorFault)
