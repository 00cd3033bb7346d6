"""Products: what happens when a SKU is bought."""

from __future__ import annotations

from dataclasses import dataclass

from services.fulfillment.domain.keys import wrong_key
from shared.contracts.fulfillment import Action, ConfigureProduct
from shared.core import Context, Core, Decision, Refused


@dataclass(frozen=True, slots=True)
class Product:
    """What happens when a SKU is bought. Key: `<store>/<sku>`."""

    action: Action
    track_stock: bool = False


products = Core(Product)


@products.begins(ConfigureProduct)
def configured(product: Product | None, command: ConfigureProduct, context: Context) -> Decision[Product] | Refused:
    return wrong_key(context.key, "<store>/<sku>") or Decision(Product(command.action, command.track_stock))
