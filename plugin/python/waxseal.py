"""Functions that build decisions. Copied into each policy; has no dependencies.

The results are instances of the classes that componentize-py generates from
`wit/policy.wit`, which documents them.
"""

from wit_world.imports.types import (
    Charge,
    Decision,
    HeaderField,
    Hop,
    Reply,
    ReturnPath_Keep,
    Unit,
    Verdict_Accept,
    Verdict_Defer,
    Verdict_Hold,
    Verdict_Reject,
    WhenFull,
)


def decision(**parts):
    """A decision to accept the message unchanged, except for `parts`."""
    whole = {
        "verdict": Verdict_Accept(),
        "route": [],
        "charges": [],
        "return_path": ReturnPath_Keep(),
        "author": None,
        "sender": None,
        "sign": [],
        "disclaimers": [],
        "headers": [],
        "copies": [],
        "labels": [],
        "reasons": [],
    }
    return Decision(**(whole | parts))


def hold(why, **parts):
    """Puts the message into the MTA's hold queue; `why` is the reason for the administrator."""
    return decision(verdict=Verdict_Hold(why), **parts)


def reject(code, enhanced, text, **parts):
    """Rejects the message permanently: `reject(550, "5.7.1", "not from here")`."""
    return decision(verdict=Verdict_Reject(Reply(code, enhanced, text)), **parts)


def defer(code, enhanced, text, **parts):
    """Defers the message (temporary error): `defer(450, "4.7.1", "not yet")`."""
    return decision(verdict=Verdict_Defer(Reply(code, enhanced, text)), **parts)


def relay(name):
    """A relay for `route`."""
    return Hop(name, None)


def label(name, value):
    """A name and a value, for `labels`."""
    return HeaderField(name, value)


def charge(counter, maximum):
    """Counts one message on `counter`, at most `maximum` a day; further ones are deferred."""
    return Charge(counter, Unit.MESSAGE, maximum, WhenFull.DEFER)
