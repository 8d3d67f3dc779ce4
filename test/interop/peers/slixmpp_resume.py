"""Logs in with slixmpp and stream management and obeys as README.md says; told to cut itself, it says so when it has resumed."""

import asyncio
import json
import logging
import sys

import slixmpp

options = json.loads(sys.argv[1])
# How long it stays away, in seconds.
AWAY = 1


def tell(**event):
    print(json.dumps(event), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(f"{options['user']}@{options['domain']}", options["password"])
        self.ca_certs = options["ca"]
        # slixmpp looks even an address that it is given up, and then takes this port. The server listens on IPv4.
        self.default_port = options["port"]
        self.use_ipv6 = False
        self.register_plugin("xep_0198")
        self.is_obeying = False
        self.is_leaving = False
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("session_resumed", self.resumed)
        self.add_event_handler("sm_failed", lambda _event: sys.exit("stream management failed"))
        self.add_event_handler("message", self.received)
        self.add_event_handler("failed_all_auth", self.failed)
        self.add_event_handler("disconnected", self.gone)

    async def started(self, _event):
        self.send_presence()
        await self.get_roster()
        tell(event="online", jid=self.boundjid.full)
        if not self.is_obeying:
            self.is_obeying = True
            # Kept: the loop holds tasks weakly.
            self.obeying = asyncio.ensure_future(self.obey())

    def resumed(self, _event):
        self.send_message(mto=self.teller, mbody="resumed", mtype="chat")

    def received(self, message):
        if message["body"]:
            tell(event="message", **{"from": message["from"].full}, type=message["type"], body=message["body"])

    def failed(self, event):
        sys.exit(f"no session: {event}")

    def gone(self, _event):
        if self.is_leaving:
            self.left.set_result(True)
        else:
            tell(event="away")
            self.loop.call_later(AWAY, self.go)

    def go(self):
        direct = options["tls"] == "direct"
        address = (options["domain"], options["port"])
        self.connect(address, use_ssl=direct, force_starttls=not direct, disable_starttls=direct)

    async def obey(self):
        lines = asyncio.StreamReader(limit=1 << 20)
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            command = json.loads(line)
            if command["body"] == "cut yourself":
                self.teller = command["to"]
                self.transport.abort()
            else:
                self.send_message(mto=command["to"], mbody=command["body"], mtype="chat")
        self.is_leaving = True
        await self.disconnect()


logging.basicConfig(level=logging.WARNING)
client = Client()
client.left = client.loop.create_future()
client.go()
client.loop.run_until_complete(client.left)
