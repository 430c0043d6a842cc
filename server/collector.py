"""How Python's garbage collector is set for a process that serves or works for weeks."""

import gc

# With Python's own 700, the objects of one long answer are looked through again and again while it is made.
# Measured for `queue(first: 100)` and `queue(first: 20)`: 22 and 11 % of the CPU went into collecting; with
# 10,000 it is 11 and 6 %. 50,000 saves another third of that, and its pauses are 25 ms and not 3.
_THRESHOLDS = (10_000, 20, 20)


def settle_collector() -> None:
    """Leave out of collections what was loaded until now, and let them come more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
