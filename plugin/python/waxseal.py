"""Decisions and problems, made in a sentence. Copied into each policy: it has no
dependencies.

`wit/policy.wit` describes what they mean; the classes are those that
componentize-py makes of it.
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
    """A decision: the message goes as it is, but for what `parts` says."""
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
    """The message is kept in the MTA's hold queue; `why` is for whoever finds it."""
    return decision(verdict=Verdict_Hold(why), **parts)


def reject(code, enhanced, text, **parts):
    """The message is refused for good: `reject(550, "5.7.1", "not from here")`."""
    return decision(verdict=Verdict_Reject(Reply(code, enhanced, text)), **parts)


def defer(code, enhanced, text, **parts):
    """The message is refused for now: `defer(450, "4.7.1", "not yet")`."""
    return decision(verdict=Verdict_Defer(Reply(code, enhanced, text)), **parts)


def relay(name):
    """A relay of a route."""
    return Hop(name, None)


def label(name, value):
    """A name and a value, for `labels`."""
    return HeaderField(name, value)


def charge(counter, maximum):
    """One message on a counter, at most so many a day; past them it is deferred."""
    return Charge(counter, Unit.MESSAGE, maximum, WhenFull.DEFER)
