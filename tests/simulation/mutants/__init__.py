"""Known bugs, injected one at a time: the simulation must detect each."""
