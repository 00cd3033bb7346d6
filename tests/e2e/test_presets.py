"""The stories of every preset, on the whole system."""

from __future__ import annotations

import pytest

from deploy.demo.preset import load_preset, names, open_preset
from deploy.demo.preset_stories import play_stories
from tests.e2e.conversation import World


@pytest.mark.parametrize("name", names())
async def test_its_stories_end_as_they_should(name: str, world: World) -> None:
    preset = load_preset(name, world.outside.hook_url("").rpartition("/hooks/")[0])
    await open_preset(world.edges, world.outside, preset)
    told = await play_stories(preset, world.shop, world.edges)
    assert [one.trouble for one in told if one.trouble] == []
