// Reads settings in a subset of TOML and reports all problems, each with its byte
// range. One `key = value` a line; a value is a text in quotes, an integer, true,
// false, or a list of texts on one line. Comments begin with #.
//
//     const settings = new Settings(text);
//     const relay = settings.text("relay", { required: "the name of a relay" });
//     settings.finish();        // throws the problems, if there are any

const LINE = /^\s*([A-Za-z0-9_-]+)\s*=\s*(.*?)\s*$/;
const TEXT = /^"(?:[^"\\]|\\.)*"/;
const LIST = /^\[\s*(?:"(?:[^"\\]|\\.)*"\s*,\s*)*(?:"(?:[^"\\]|\\.)*"\s*)?\]/;
const WORD = /^[^\s#]+/;

/** Length of a text in bytes of UTF-8: positions are in bytes, not in characters. */
function bytes(text) {
  let count = 0;
  for (const character of text) {
    const code = character.codePointAt(0);
    count += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return count;
}

export class Settings {
  #entries = new Map();
  #known = new Set();
  #problems = [];

  constructor(text) {
    let offset = 0;
    for (const line of text.split("\n")) {
      this.#line(line.replace(/\r$/, ""), offset);
      offset += bytes(line) + 1;
    }
  }

  /** A text with its position; undefined if the key is missing. */
  text(key, { required } = {}) {
    if (required && !this.#entries.has(key)) {
      this.problem({ offset: 0, length: 0 }, `\`${key}\` is missing`, required);
    }
    return this.#get(key, (value) => typeof value === "string", "a text in quotes");
  }

  /** An integer (BigInt) of at least `least`. */
  number(key, least = 0n) {
    const fits = (value) => typeof value === "bigint" && value >= least;
    return this.#get(key, fits, `a whole number, ${least} or more`);
  }

  /** true or false. */
  boolean(key) {
    return this.#get(key, (value) => typeof value === "boolean", "true or false");
  }

  /** A list of texts; a single text is a list of one. Empty if the key is missing. */
  texts(key) {
    const fits = (value) => typeof value === "string" || Array.isArray(value);
    const found = this.#get(key, fits, "a text, or a list of texts");
    return found === undefined ? [] : [found.value].flat();
  }

  /** Adds a problem at a position (`offset` and `length`, in bytes). */
  problem({ offset, length }, message, expected) {
    this.#problems.push({ offset, length, message, expected });
  }

  /** Throws all problems, if there are any: the error of `configure`. */
  finish() {
    for (const [key, { place }] of this.#entries) {
      if (!this.#known.has(key)) this.problem(place, `unknown key \`${key}\``);
    }
    if (this.#problems.length > 0) {
      throw this.#problems.sort((a, b) => a.offset - b.offset);
    }
  }

  #get(key, fits, expected) {
    this.#known.add(key);
    const entry = this.#entries.get(key);
    if (entry === undefined || fits(entry.value)) return entry;
    this.problem(entry, `invalid value of \`${key}\``, expected);
    return undefined;
  }

  #line(line, offset) {
    if (/^\s*(#.*)?$/.test(line)) return;
    const found = LINE.exec(line);
    if (found === null) {
      const place = { offset, length: bytes(line) };
      this.problem(place, "invalid line", "key = value");
      return;
    }
    const [, key, rest] = found;
    const start = offset + bytes(line.slice(0, line.indexOf(rest, line.indexOf("=") + 1)));
    const place = { offset: offset + bytes(line.slice(0, line.indexOf(key))), length: bytes(key) };
    const literal = (TEXT.exec(rest) ?? LIST.exec(rest) ?? WORD.exec(rest) ?? [""])[0];
    const value = read(literal);
    const after = rest.slice(literal.length);
    const entry = { value, offset: start, length: bytes(literal), place };
    if (value === undefined || !/^\s*(#.*)?$/.test(after)) {
      const all = { offset: start, length: bytes(rest) };
      this.problem(all, "invalid value", "a text in quotes, a number, true, false, or a list");
      this.#known.add(key);
    } else if (this.#entries.has(key)) {
      this.problem(place, `duplicate key \`${key}\``);
    } else {
      this.#entries.set(key, entry);
    }
  }
}

/** The value of a literal; undefined if it is invalid. */
function read(literal) {
  if (/^-?[0-9][0-9_]*$/.test(literal)) return BigInt(literal.replaceAll("_", ""));
  try {
    return JSON.parse(literal.replace(/,\s*\]$/, "]"));
  } catch {
    return undefined;
  }
}
