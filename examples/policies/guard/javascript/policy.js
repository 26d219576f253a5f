// A policy that holds mail for review, and sends bulk mail by a relay of its own.

import { charge, decision, hold, label, relay } from "../../../../plugin/javascript/waxseal.js";
import { Settings } from "../../../../plugin/javascript/settings.js";

// Number of bytes of the text that are searched for words.
const TEXT = 64 << 10;

// Set once by `configure`. Each message starts with this value.
let given;

export const setup = {
  describe() {
    return { name: "guard", version: "0.1.0", settingsSchema: JSON.stringify(SCHEMA) };
  },

  configure(text) {
    const settings = new Settings(text);
    const bulkRelay = settings.text("bulk-relay", { required: "the name of a relay" });
    const excepted = settings.text("excepted");
    given = {
      bulkRelay: bulkRelay?.value,
      bulkPerDay: settings.number("bulk-per-day", 1n)?.value,
      bounces: settings.text("bounces")?.value,
      largestAttachment: settings.number("largest-attachment", 1n)?.value,
      heldTypes: lower(settings.texts("held-types")),
      heldEndings: lower(settings.texts("held-endings")),
      keywords: lower(settings.texts("keywords")),
      excepted: excepted?.value,
    };
    settings.finish();
    const references = [reference("relay", bulkRelay)];
    if (excepted) references.push(reference("table", excepted));
    return { references, warnings: warnings() };
  },
};

export const handler = {
  decide(message, facts) {
    const remote = message.recipients().some((to) => !to.local);
    if (!remote) return decision({ reasons: ["every recipient is local"] });
    const exception = whyExcepted(message, facts);
    const why = exception ? undefined : whyHeld(message);
    if (why) return hold(why, { labels: [label("guard", "held")], reasons: [why] });
    const passed = pass(message);
    if (exception) passed.reasons.push(exception);
    return passed;
  },
};

function lower(texts) {
  return texts.map((text) => text.toLowerCase());
}

function reference(kind, { value, offset, length }) {
  return { kind, name: value, offset, length };
}

function warnings() {
  const { largestAttachment, heldTypes, heldEndings, keywords } = given;
  if (largestAttachment || heldTypes.length || heldEndings.length || keywords.length) return [];
  const expected = "`largest-attachment`, `held-types`, `held-endings` or `keywords`";
  return [{ offset: 0, length: 0, message: "no message is ever held", expected }];
}

/** The reason why the author is exempt, if so. */
function whyExcepted(message, facts) {
  const [author] = message.author();
  if (given.excepted === undefined || author === undefined) return undefined;
  const address = author.address.toLowerCase();
  if (facts.lookup(given.excepted, address) === undefined) return undefined;
  return `${address} is in the table ${given.excepted}`;
}

function whyHeld(message) {
  const word = wordIn(message.header("Subject")[0]);
  if (word) return `the subject says "${word}"`;
  for (const part of message.attachments()) {
    const why = whyPartHeld(part);
    if (why) return why;
  }
  const inText = wordIn(message.text(TEXT));
  return inText && `the text says "${inText}"`;
}

function whyPartHeld({ mediaType, name = "without a name", size }) {
  const most = given.largestAttachment;
  if (most !== undefined && size > most) {
    return `the attachment ${name} has ${size} bytes, more than ${most}`;
  }
  if (given.heldTypes.includes(mediaType)) return `the attachment ${name} is of type ${mediaType}`;
  const ending = given.heldEndings.find((ending) => name.toLowerCase().endsWith(ending));
  return ending && `the attachment ${name} ends with ${ending}`;
}

function wordIn(text = "") {
  const searched = text.toLowerCase();
  return given.keywords.find((word) => searched.includes(word));
}

/** The decision for a message that is not held. */
function pass(message) {
  if (!message.hasTrait("bulk") && !message.hasTrait("list")) {
    return decision({ labels: [label("type", "personal")] });
  }
  const { bulkRelay, bulkPerDay, bounces } = given;
  return decision({
    route: [relay(bulkRelay)],
    charges: bulkPerDay ? [charge("bulk", bulkPerDay)] : [],
    returnPath: bounces ? { tag: "verp", val: bounces } : { tag: "keep" },
    labels: [label("type", "bulk")],
    reasons: ["bulk mail has a relay of its own"],
  });
}

const TEXTS = { type: "array", items: { type: "string" } };
const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Settings of the guard",
  type: "object",
  additionalProperties: false,
  required: ["bulk-relay"],
  properties: {
    "bulk-relay": { type: "string", minLength: 1 },
    "bulk-per-day": { type: "integer", minimum: 1 },
    bounces: { type: "string", minLength: 1 },
    "largest-attachment": { type: "integer", minimum: 1 },
    "held-types": TEXTS,
    "held-endings": TEXTS,
    keywords: TEXTS,
    excepted: { type: "string", minLength: 1 },
  },
};
