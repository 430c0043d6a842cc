"""How Python's garbage collector is set for a process that serves or works for weeks."""

import gc

_YOUNG, _MIDDLE, _OLD = 10_000, 20, 20


def settle_collector() -> None:
    """Leave out of collections what was loaded until now, and let them come more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
