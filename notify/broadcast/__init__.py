"""The broadcaster seam: tells every node that an account has news. It wakes nodes up and carries no events.

    wakeups     what the rest of the program uses
    latest      what waits for one reader, one entry per account
    backend     what all backends share: reading from an inbox, connecting anew
    inbox       what was received and not fetched yet, bounded
    memory, postgres, redis     the backends

A wake-up may be lost, since the events are rows of a table. What must not happen is that a node stays deaf: a
lost connection is made anew, and its listeners are then told to compare everything.
"""
