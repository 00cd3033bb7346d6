"""`orderbus demo --store NAME`: the stories of one preset, on the whole system."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.check.run import Report, check
from deploy.cli import console
from deploy.cli.check import show_report
from deploy.cli.errors import Failure, UsageError
from deploy.cli.startup import running_system
from deploy.client.http import ApiClient
from deploy.demo import rest
from deploy.demo.play import Play
from deploy.demo.preset import load_preset, names, open_preset
from deploy.demo.preset_stories import Told, play_stories
from deploy.demo.shop import Shop
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from deploy.settings import load_all_settings

ALL = "all"
COLUMNS = ("store", "story", "number", "status", "shown as")


async def play_store(name: str, folder: Path, workers: int, *, fresh: bool, as_json: bool) -> None:
    """`name`: of a preset, or `all`. Raises UsageError for a preset that does not exist, and Failure where a story goes
    wrong."""
    if name not in (*names(), ALL):
        raise UsageError(f"There is no preset {name}, but {', '.join(names())}; or all.")
    chosen, told = names() if name == ALL else [name], list[Told]()
    async with running_system(folder, workers, fresh=fresh) as (stack, _):
        os.environ.update(stack.environment())
        settings = load_all_settings()
        async with (
            ApiClient.of(settings) as api,
            OutsideWorld(stack.outside_url, stack.secrets.outside_token) as outside,
            StripeSandbox(stack.stripe_url, stack.secrets.stripe_control_token) as bank,
        ):
            for preset in (load_preset(one, stack.outside_url) for one in chosen):
                await open_preset(api, outside, preset)
                console.say(f"{preset.id}: {preset.about}")
                async with Shop(settings, preset.catalogue) as shop:
                    told += await play_stories(preset, shop, api, mark=f"{os.getpid():x}")
                    await rest.comes_to_rest(settings, Play(shop, api, outside, bank, (), seed=1, rate=0))
        report = await check(settings)
    _show(told, report, as_json=as_json)


def _show(told: Sequence[Told], report: Report, *, as_json: bool) -> None:
    if as_json:
        invariants = {one: not violations for one, violations in report.invariants.items()}
        console.show_json({"stories": [_row(one) for one in told], "invariants": invariants})
    else:
        console.show_table(COLUMNS, [[*_row(one).values()][:-1] for one in told])
        if report.ok:
            console.say(f"All {len(report.invariants)} invariants hold.")
        else:
            show_report(report)
    troubles = [f"{one.story.name}: {one.trouble}" for one in told if one.trouble]
    if troubles or not report.ok:
        raise Failure("\n".join(troubles) or "The demo found errors: see above.")


def _row(told: Told) -> dict[str, str]:
    latest = told.order.latest
    status = told.order.status or "refused"
    shown = str(latest.get("status_word") or latest.get("display_status") or status)
    row = {
        "store": told.order.store,
        "story": told.story.name,
        "number": told.order.number,
        "status": status,
        "shown_as": shown,
    }
    return row | {"trouble": told.trouble}
