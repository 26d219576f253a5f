"""A policy that sends bulk mail by a relay of its own, and holds messages to remote
recipients with attachments that could be programs.
"""

from types import SimpleNamespace

from settings import Settings
from waxseal import decision, hold, label, relay
from wit_world import exports
from wit_world.exports.setup import Configured, Description, Reference, ReferenceKind

# Set once by `configure`. Each message starts with this value.
GIVEN = SimpleNamespace()


class Setup(exports.Setup):
    def describe(self):
        return Description("{{name}}", "0.1.0", None)

    def configure(self, settings):
        settings = Settings(settings)
        name = settings.text("bulk-relay", required="the name of a relay")
        GIVEN.held_endings = [ending.lower() for ending in settings.texts("held-endings")]
        settings.finish()
        GIVEN.bulk_relay = name.value
        kind = ReferenceKind.RELAY
        return Configured([Reference(kind, name.value, name.offset, name.length)], [])


class Handler(exports.Handler):
    def decide(self, message, facts):
        remote = any(not to.local for to in message.recipients())
        why = why_held(message) if remote else None
        if why:
            return hold(why, reasons=[why])
        if message.has_trait("bulk") or message.has_trait("list"):
            return decision(route=[relay(GIVEN.bulk_relay)], labels=[label("type", "bulk")])
        return decision(labels=[label("type", "personal")])


def why_held(message):
    for part in message.attachments():
        name = part.name or ""
        for ending in GIVEN.held_endings:
            if name.lower().endswith(ending):
                return f"the attachment {name} ends with {ending}"
    return None
