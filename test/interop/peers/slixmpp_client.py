"""Logs in with slixmpp and talks by lines of JSON, as README.md says."""

import asyncio
import json
import logging
import sys

import slixmpp

options = json.loads(sys.argv[1])


def tell(**event):
    print(json.dumps(event), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(f"{options['user']}@{options['domain']}", options["password"])
        self.ca_certs = options["ca"]
        # slixmpp looks even an address that it is given up, and then takes this port. The server listens on IPv4.
        self.default_port = options["port"]
        self.use_ipv6 = False
        self.register_plugin("xep_0199")
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.received)
        self.add_event_handler("failed_all_auth", self.failed)
        self.add_event_handler("connection_failed", self.failed)

    async def started(self, _event):
        self.send_presence()
        await self.get_roster()
        await self["xep_0199"].ping(self.boundjid.domain)
        tell(event="online", jid=self.boundjid.full)
        # Kept: the loop holds tasks weakly.
        self.obeying = asyncio.ensure_future(self.obey())

    def received(self, message):
        if message["body"]:
            tell(event="message", **{"from": message["from"].full}, type=message["type"], body=message["body"])

    def failed(self, event):
        sys.exit(f"no session: {event}")

    async def obey(self):
        lines = asyncio.StreamReader(limit=1 << 20)
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            command = json.loads(line)
            self.send_message(mto=command["to"], mbody=command["body"], mtype="chat")
        await self.disconnect()


logging.basicConfig(level=logging.WARNING)
client = Client()
direct = options["tls"] == "direct"
client.connect((options["domain"], options["port"]), use_ssl=direct, force_starttls=not direct, disable_starttls=direct)
client.loop.run_until_complete(client.disconnected)
