"""Path 2 in the customer's language: the emails and the feed, with amounts and times as there."""

from __future__ import annotations

from tests.e2e.conversation import DECLINED_CARD, World


async def test_a_declined_customer_reads_why_in_turkish(world: World) -> None:
    customer = world.customer("Cahit Arf")
    order = await customer.opens()
    basket = customer.checkout("atlas", card=DECLINED_CARD)
    await order.submits(basket.model_copy(update={"locale": "tr-TR"}))
    declined = await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")

    mail = await customer.gets_mail("ödemesi gerçekleşmedi")
    assert declined["pay_url"] in mail["text"]
    assert "Kartınızda yeterli bakiye yok." in mail["text"]
    assert '<html lang="tr" dir="ltr">' in mail["html"]
    assert any("Kartınızda yeterli bakiye yok." in entry["text"] for entry in await customer.feed())

    await order.pays_again()
    await order.becomes("completed")
    mail = await customer.gets_mail("hazır")
    assert f"sipariş {declined['number']}" in mail["text"]
