#!/usr/bin/python3
"""SMTP servers that keep what they are sent: the far ends of the tests.

Reads one JSON object from its first line of standard input:

    {"folder": "...", "servers": [{"name": "northwind", "address": "127.0.0.2",
      "port": 2600, "security": "none" | "starttls" | "tls",
      "certificate": "cert.pem", "key": "key.pem",
      "login": ["user", "password"], "eight_bit": true}]}

Prints a JSON list of their ports once all are listening (port 0 takes any that is
free), and ends when standard input does: it cannot outlive the test that started
it. Message N of a server is kept as
FOLDER/NAME/N.json (the envelope) and FOLDER/NAME/N.eml (the bytes as they came
in). The .json is moved into place last, so a reader that sees it finds both.
"""

import asyncio
import json
import os
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

warnings.filterwarnings("ignore")


class Keeper:
    def __init__(self, folder, eight_bit):
        self.folder = folder
        self.eight_bit = eight_bit
        self.count = 0
        os.makedirs(folder, exist_ok=True)

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        if not self.eight_bit:
            responses = [line for line in responses if "8BITMIME" not in line]
        return responses

    async def handle_DATA(self, server, session, envelope):
        name = os.path.join(self.folder, "%06d" % self.count)
        self.count += 1
        with open(name + ".eml", "wb") as file:
            file.write(envelope.original_content)
        tls = getattr(session, "ssl", None) is not None or server.transport.get_extra_info("ssl_object") is not None
        login = session.auth_data.login.decode() if session.auth_data else None
        about = {
            "sender": (envelope.mail_from or "").removeprefix("<").removesuffix(">"),
            "recipients": envelope.rcpt_tos,
            "mail_options": envelope.mail_options,
            "helo": session.host_name,
            "tls": tls,
            "user": login,
        }
        with open(name + ".new", "w") as file:
            json.dump(about, file)
        os.rename(name + ".new", name + ".json")
        return "250 2.0.0 kept as %d" % (self.count - 1)


def authenticator(login):
    def check(server, session, envelope, mechanism, data):
        given = [data.login.decode(), data.password.decode()]
        if given == login:
            return AuthResult(success=True, auth_data=data)
        return AuthResult(success=False, handled=False)

    return check


async def serve(loop, folder, spec):
    keeper = Keeper(os.path.join(folder, spec["name"]), spec.get("eight_bit", True))
    context = None
    if spec["security"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(spec["certificate"], spec["key"])
    wrapped = spec["security"] == "tls"
    options = {
        "loop": loop,
        "hostname": spec["name"] + ".sink",
        "data_size_limit": 100_000_000,
        "enable_SMTPUTF8": False,
    }
    if spec["security"] == "starttls":
        options.update(tls_context=context, require_starttls=True)
    if spec.get("login"):
        options.update(
            authenticator=authenticator(spec["login"]),
            auth_required=True,
            auth_require_tls=not wrapped and spec["security"] != "none",
        )
    server = await loop.create_server(
        lambda: SMTP(keeper, **options),
        host=spec["address"],
        port=spec["port"],
        ssl=context if wrapped else None,
    )
    return server.sockets[0].getsockname()[1]


def main():
    spec = json.loads(sys.stdin.readline())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    ports = [loop.run_until_complete(serve(loop, spec["folder"], server)) for server in spec["servers"]]

    def closed():
        if not os.read(0, 4096):
            loop.stop()

    loop.add_reader(0, closed)
    print(json.dumps(ports), flush=True)
    loop.run_forever()


main()
