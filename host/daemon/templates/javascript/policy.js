// A policy that sends bulk mail by a relay of its own, and holds messages to
// remote recipients with attachments that could be programs.

import { decision, hold, label, relay } from "./waxseal.js";
import { Settings } from "./settings.js";

// Set once by `configure`. Each message starts with this value.
let given;

export const setup = {
  describe() {
    return { name: "{{name}}", version: "0.1.0", settingsSchema: undefined };
  },

  configure(text) {
    const settings = new Settings(text);
    const bulkRelay = settings.text("bulk-relay", { required: "the name of a relay" });
    const heldEndings = settings.texts("held-endings").map((ending) => ending.toLowerCase());
    settings.finish();
    given = { bulkRelay: bulkRelay.value, heldEndings };
    const { value: name, offset, length } = bulkRelay;
    return { references: [{ kind: "relay", name, offset, length }], warnings: [] };
  },
};

export const handler = {
  decide(message, facts) {
    const remote = message.recipients().some((to) => !to.local);
    const why = remote && whyHeld(message);
    if (why) return hold(why, { reasons: [why] });
    if (message.hasTrait("bulk") || message.hasTrait("list")) {
      return decision({ route: [relay(given.bulkRelay)], labels: [label("type", "bulk")] });
    }
    return decision({ labels: [label("type", "personal")] });
  },
};

function whyHeld(message) {
  for (const { name = "" } of message.attachments()) {
    const ending = given.heldEndings.find((ending) => name.toLowerCase().endsWith(ending));
    if (ending) return `the attachment ${name} ends with ${ending}`;
  }
  return undefined;
}
