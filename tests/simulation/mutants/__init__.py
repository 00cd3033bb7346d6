"""Known faults, planted one at a time: the simulation must find each."""
