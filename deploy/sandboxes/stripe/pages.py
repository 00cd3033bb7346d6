"""The page of the customer's bank: 3-D Secure, with a button for each way it can end."""

from __future__ import annotations

import html
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from deploy.sandboxes.stripe import intents, setups
from deploy.sandboxes.stripe.accounts import Account, Accounts
from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.money import text
from deploy.sandboxes.stripe.objects import PaymentIntent, SetupIntent

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>3-D Secure (sandbox)</title>
<style>body{{font:16px/1.5 system-ui;max-width:26rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem;margin-right:.5rem}}form{{display:inline}}</style></head>
<body><h1>Your bank asks</h1><p>{question}</p>
<form method="post" action="{path}/complete"><button>Complete authentication</button></form>
<form method="post" action="{path}/fail"><button>Fail authentication</button></form>
<p><small>Stripe sandbox: no money moves.</small></p></body></html>"""
DONE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Done</title></head>
<body><p>Done: {status}. You can close this page.</p></body></html>"""


class Pages:
    """GET /3d_secure/{id}/{secret}, and a POST for each button. Only who has the secret gets in."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def routes(self) -> list[web.RouteDef]:
        path = "/3d_secure/{id}/{secret}"
        return [
            web.get(path, self._show),
            web.post(path + "/complete", self._complete),
            web.post(path + "/fail", self._fail),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        _, _, it = self._find(request)
        if it.status != "requires_action":
            return _leave(it)
        question = "Do you allow your card to be kept for later payments?"
        if isinstance(it, PaymentIntent):
            question = f"Do you allow the payment of {text(it.amount, it.currency)}?"
        page = PAGE.format(question=html.escape(question), path=html.escape(request.path))
        return web.Response(text=page, content_type="text/html")

    async def _complete(self, request: web.Request) -> web.Response:
        return self._finish(request, passed=True)

    async def _fail(self, request: web.Request) -> web.Response:
        return self._finish(request, passed=False)

    def _finish(self, request: web.Request, *, passed: bool) -> web.Response:
        account, tx, it = self._find(request)
        if it.status == "requires_action":
            if isinstance(it, PaymentIntent):
                it = intents.authenticate(tx, it, passed=passed)
            else:
                it = setups.authenticate(tx, it, passed=passed)
            account.commit(tx)
        return _leave(it)

    def _find(self, request: web.Request) -> tuple[Account, Transaction, PaymentIntent | SetupIntent]:
        """The page's address does not say of which account it is, but ids are unique."""
        identifier, secret = request.match_info["id"], request.match_info["secret"]
        for account in self._accounts:
            tx = account.transaction()
            it = tx.get(PaymentIntent, identifier) or tx.get(SetupIntent, identifier)
            if it is not None and it.client_secret.endswith(secret) and len(secret) >= 20:
                return account, tx, it
        raise web.HTTPNotFound(text="There is no such authentication.")


def _leave(it: PaymentIntent | SetupIntent) -> web.Response:
    """Back to the shop, told how it ended as Stripe tells it."""
    if it.return_url is None:
        return web.Response(text=DONE.format(status=it.status), content_type="text/html")
    noun = "payment_intent" if isinstance(it, PaymentIntent) else "setup_intent"
    passed = it.status in ("succeeded", "requires_capture")
    query = urlencode(
        {
            noun: it.id,
            f"{noun}_client_secret": it.client_secret,
            "redirect_status": "succeeded" if passed else "failed",
        }
    )
    separator = "&" if urlsplit(it.return_url).query else "?"
    return web.Response(status=303, headers={"Location": f"{it.return_url}{separator}{query}"})
