"""What staff do to orders."""

from shared.contracts import order_work
from shared.contracts.erasure import EraseCustomer, OrderErased
from shared.contracts.examples.order import ITEMS, NUMBER, PLACED, STORE
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    EraseCustomer(),
    OrderErased(number=NUMBER, store=STORE),
    order_work.NoteOrder(text="Called on March 5: the atlas is a present.", about="order"),
    order_work.MessageOrder(
        sender="customer",
        author="Ada",
        text="Has my parcel been sent?",
        written_at=PLACED,
        attachments=("helpdesk/4711/photo.jpg",),
    ),
    order_work.AnswerOrder(wants="cancel", granted=True, text="Your order is cancelled."),
    order_work.ReopenOrder(tries=2, note="The customer has a new card."),
    order_work.OrderAsked(wants="cancel", text="I ordered it twice."),
    order_work.OrderAnswered(wants="cancel", granted=True, text="Your order is cancelled."),
    order_work.OrderNoted(
        what="payment.captured",
        text="53.80 GBP captured with visa ending 4242. The order is cancelled: the payment will be refunded.",
        by="provider:stripe",
        detail={"attempt": 1, "card": "visa ending 4242"},
    ),
    order_work.OrderPaidElsewhere(
        attempt=2,
        number=NUMBER,
        store=STORE,
        amount=5380,
        currency="GBP",
        items=ITEMS,
        method="bank_transfer",
        reference="SEPA-2026-0305",
        note="On the statement of March 5.",
        by="staff:anna",
    ),
)
