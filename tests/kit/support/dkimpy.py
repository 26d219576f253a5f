#!/usr/bin/python3
"""Verifies all DKIM signatures of a message with dkimpy.

Usage: dkimpy.py MESSAGE RECORDS, where RECORDS is a file of lines
"NAME TEXT": the DNS as far as this message goes. Prints a JSON list with an
object for each signature, from the top of the header down.
"""

import json
import sys

import dkim

records = {}
for line in open(sys.argv[2]):
    name, _, text = line.rstrip("\n").partition(" ")
    records[name.rstrip(".")] = text

message = open(sys.argv[1], "rb").read()


def lookup(name, timeout=5):
    text = records.get(name.decode().rstrip("."))
    return text.encode() if text is not None else None


verifier = dkim.DKIM(message)
fields = [value for name, value in verifier.headers if name.lower() == b"dkim-signature"]
result = []
for index in range(len(fields)):
    tags = dkim.util.parse_tag_value(fields[index])
    one = {
        "domain": tags[b"d"].decode(),
        "selector": tags[b"s"].decode(),
        "algorithm": tags[b"a"].decode(),
    }
    try:
        one["valid"] = bool(dkim.DKIM(message).verify(idx=index, dnsfunc=lookup))
        one["reason"] = None if one["valid"] else "the signature does not fit the message"
    except dkim.DKIMException as error:
        one["valid"] = False
        one["reason"] = str(error)
    result.append(one)
json.dump(result, sys.stdout)
