"""Reads settings in a subset of TOML and reports all problems, each with its byte
range. One `key = value` a line; a value is a text in quotes, an integer, true,
false, or a list of texts on one line. Comments begin with #.

    settings = Settings(text)
    relay = settings.text("relay", required="the name of a relay")
    settings.finish()         # raises the problems, if there are any
"""

import json
import re
from dataclasses import dataclass

from componentize_py_types import Err
from wit_world.exports.setup import Problem

LINE = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*(.*?)\s*$")
EMPTY = re.compile(r"\s*(#.*)?$")
ONE = r'"(?:[^"\\]|\\.)*"'
LITERAL = re.compile(rf"{ONE}|\[\s*(?:{ONE}\s*,\s*)*(?:{ONE}\s*)?\]|[^\s#]+")
NUMBER = re.compile(r"-?[0-9][0-9_]*")


@dataclass
class Entry:
    """A value, and the positions of value and key: offset and length in bytes."""

    value: object
    offset: int
    length: int
    place: tuple


class Settings:
    """Settings, read key by key. Keys that are never read are problems."""

    def __init__(self, text):
        self._entries = {}
        self._known = set()
        self._problems = []
        offset = 0
        for line in text.split("\n"):
            self._line(line.removesuffix("\r"), offset)
            offset += _bytes(line) + 1

    def text(self, key, required=None):
        """A text with its position; None if the key is missing."""
        if required and key not in self._entries:
            self.problem((0, 0), f"`{key}` is missing", required)
        return self._get(key, lambda value: isinstance(value, str), "a text in quotes")

    def number(self, key, least=0):
        """An integer of at least `least`."""

        def fits(value):
            return type(value) is int and value >= least

        return self._get(key, fits, f"a whole number, {least} or more")

    def boolean(self, key):
        """True or false."""
        return self._get(key, lambda value: isinstance(value, bool), "true or false")

    def texts(self, key):
        """A list of texts; a single text is a list of one. Empty if the key is missing."""
        fits = lambda value: isinstance(value, (str, list))
        found = self._get(key, fits, "a text, or a list of texts")
        if found is None:
            return []
        return [found.value] if isinstance(found.value, str) else found.value

    def problem(self, place, message, expected=None):
        """Adds a problem at a position (offset and length, in bytes)."""
        self._problems.append(Problem(*place, message, expected))

    def finish(self):
        """Raises all problems, if there are any: the error of `configure`."""
        for key, entry in self._entries.items():
            if key not in self._known:
                self.problem(entry.place, f"unknown key `{key}`")
        if self._problems:
            raise Err(sorted(self._problems, key=lambda problem: problem.offset))

    def _get(self, key, fits, expected):
        self._known.add(key)
        entry = self._entries.get(key)
        if entry is None or fits(entry.value):
            return entry
        self.problem((entry.offset, entry.length), f"invalid value of `{key}`", expected)
        return None

    def _line(self, line, offset):
        if EMPTY.match(line):
            return
        found = LINE.match(line)
        if found is None:
            place = (offset, _bytes(line))
            self.problem(place, "invalid line", "key = value")
            return
        key, rest = found.groups()
        start = offset + _bytes(line[: found.start(2)])
        place = (offset + _bytes(line[: found.start(1)]), _bytes(key))
        literal = LITERAL.match(rest)
        literal = literal.group() if literal else ""
        value = _read(literal)
        if value is None or not EMPTY.match(rest[len(literal) :]):
            expected = "a text in quotes, a number, true, false, or a list"
            self.problem((start, _bytes(rest)), "invalid value", expected)
            self._known.add(key)
        elif key in self._entries:
            self.problem(place, f"duplicate key `{key}`")
        else:
            self._entries[key] = Entry(value, start, _bytes(literal), place)


def _read(literal):
    """The value of a literal; None if it is invalid."""
    if NUMBER.fullmatch(literal):
        return int(literal)
    try:
        return json.loads(re.sub(r",\s*\]$", "]", literal))
    except ValueError:
        return None


def _bytes(text):
    """Length of a text in bytes of UTF-8: positions are in bytes, not in characters."""
    return len(text.encode())
