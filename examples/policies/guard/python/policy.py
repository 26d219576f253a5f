"""A policy that holds mail for review, and sends bulk mail by a relay of its own."""

import json
from types import SimpleNamespace

from settings import Settings
from waxseal import charge, decision, hold, label, relay
from wit_world import exports
from wit_world.exports.setup import Configured, Description, Problem, Reference, ReferenceKind
from wit_world.imports.types import ReturnPath_Keep, ReturnPath_Verp

# Number of bytes of the text that are searched for words.
TEXT = 64 << 10

# Set once by `configure`. Each message starts with this value.
GIVEN = SimpleNamespace()


class Setup(exports.Setup):
    def describe(self):
        return Description("guard", "0.1.0", json.dumps(SCHEMA))

    def configure(self, settings):
        settings = Settings(settings)
        bulk_relay = settings.text("bulk-relay", required="the name of a relay")
        excepted = settings.text("excepted")
        GIVEN.bulk_relay = value(bulk_relay)
        GIVEN.bulk_per_day = value(settings.number("bulk-per-day", 1))
        GIVEN.bounces = value(settings.text("bounces"))
        GIVEN.largest_attachment = value(settings.number("largest-attachment", 1))
        GIVEN.held_types = lower(settings.texts("held-types"))
        GIVEN.held_endings = lower(settings.texts("held-endings"))
        GIVEN.keywords = lower(settings.texts("keywords"))
        GIVEN.excepted = value(excepted)
        settings.finish()
        references = [reference(ReferenceKind.RELAY, bulk_relay)]
        if excepted:
            references.append(reference(ReferenceKind.TABLE, excepted))
        return Configured(references, warnings())


class Handler(exports.Handler):
    def decide(self, message, facts):
        if all(to.local for to in message.recipients()):
            return decision(reasons=["every recipient is local"])
        exception = why_excepted(message, facts)
        why = None if exception else why_held(message)
        if why:
            return hold(why, labels=[label("guard", "held")], reasons=[why])
        passed = pass_on(message)
        if exception:
            passed.reasons.append(exception)
        return passed


def value(entry):
    return entry.value if entry else None


def lower(texts):
    return [text.lower() for text in texts]


def reference(kind, entry):
    return Reference(kind, entry.value, entry.offset, entry.length)


def warnings():
    if GIVEN.largest_attachment or GIVEN.held_types or GIVEN.held_endings or GIVEN.keywords:
        return []
    expected = "`largest-attachment`, `held-types`, `held-endings` or `keywords`"
    return [Problem(0, 0, "no message is ever held", expected)]


def why_excepted(message, facts):
    """The reason why the author is exempt, if so."""
    authors = message.author()
    if GIVEN.excepted is None or not authors:
        return None
    address = authors[0].address.lower()
    if facts.lookup(GIVEN.excepted, address) is None:
        return None
    return f"{address} is in the table {GIVEN.excepted}"


def why_held(message):
    subject = message.header("Subject")
    if word := word_in(subject[0] if subject else ""):
        return f'the subject says "{word}"'
    for part in message.attachments():
        if why := why_part_held(part):
            return why
    if word := word_in(message.text(TEXT) or ""):
        return f'the text says "{word}"'
    return None


def why_part_held(part):
    name = "without a name" if part.name is None else part.name
    most = GIVEN.largest_attachment
    if most is not None and part.size > most:
        return f"the attachment {name} has {part.size} bytes, more than {most}"
    if part.media_type in GIVEN.held_types:
        return f"the attachment {name} is of type {part.media_type}"
    for ending in GIVEN.held_endings:
        if name.lower().endswith(ending):
            return f"the attachment {name} ends with {ending}"
    return None


def word_in(text):
    text = text.lower()
    return next((word for word in GIVEN.keywords if word in text), None)


def pass_on(message):
    """The decision for a message that is not held."""
    if not message.has_trait("bulk") and not message.has_trait("list"):
        return decision(labels=[label("type", "personal")])
    return decision(
        route=[relay(GIVEN.bulk_relay)],
        charges=[charge("bulk", GIVEN.bulk_per_day)] if GIVEN.bulk_per_day else [],
        return_path=ReturnPath_Verp(GIVEN.bounces) if GIVEN.bounces else ReturnPath_Keep(),
        labels=[label("type", "bulk")],
        reasons=["bulk mail has a relay of its own"],
    )


TEXTS = {"type": "array", "items": {"type": "string"}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Settings of the guard",
    "type": "object",
    "additionalProperties": False,
    "required": ["bulk-relay"],
    "properties": {
        "bulk-relay": {"type": "string", "minLength": 1},
        "bulk-per-day": {"type": "integer", "minimum": 1},
        "bounces": {"type": "string", "minLength": 1},
        "largest-attachment": {"type": "integer", "minimum": 1},
        "held-types": TEXTS,
        "held-endings": TEXTS,
        "keywords": TEXTS,
        "excepted": {"type": "string", "minLength": 1},
    },
}
