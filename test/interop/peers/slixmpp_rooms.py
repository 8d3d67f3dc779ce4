"""Logs in with slixmpp and goes into rooms (XEP-0045): each line { id, do, ... } is answered by { id, result } or { id, error }."""

import asyncio
import json
import logging
import sys

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout, PresenceError

options = json.loads(sys.argv[1])


def tell(**event):
    print(json.dumps(event), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(f"{options['user']}@{options['domain']}/{options['resource']}", options["password"])
        self.ca_certs = options["ca"]
        # slixmpp looks even an address that it is given up, and then takes this port. The server listens on IPv4.
        self.default_port = options["port"]
        self.use_ipv6 = False
        for number in "0004 0030 0045 0059 0199 0249 0297 0313 0359".split():
            self.register_plugin(f"xep_{number}")
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", self.heard)
        self.add_event_handler("groupchat_subject", self.subject)
        self.add_event_handler("groupchat_presence", self.presence)
        self.add_event_handler("groupchat_invite", self.invited)
        self.add_event_handler("failed_all_auth", self.failed)
        self.add_event_handler("connection_failed", self.failed)

    async def started(self, _event):
        self.send_presence()
        await self.get_roster()
        tell(event="online", jid=self.boundjid.full)
        # Kept: the loop holds tasks weakly.
        self.obeying = asyncio.ensure_future(self.obey())

    def heard(self, message):
        if message["body"]:
            tell(event="message", **{"from": message["from"].full}, type=message["type"], body=message["body"])

    def subject(self, message):
        tell(event="subject", **{"from": message["from"].full}, subject=message["subject"])

    def presence(self, presence):
        codes = sorted(presence["muc"]["status_codes"])
        item = presence["muc"]["item"]
        tell(event="presence", nick=presence["from"].resource, type=presence["type"], codes=codes, role=item["role"])

    def invited(self, message):
        tell(event="invited", **{"from": message["from"].full})

    def failed(self, event):
        sys.exit(f"no session: {event}")

    async def obey(self):
        lines = asyncio.StreamReader(limit=1 << 20)
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            command = json.loads(line)
            number, name = command.pop("id"), command.pop("do")
            try:
                tell(id=number, result=await getattr(self, f"do_{name}")(**command))
            except (IqError, IqTimeout, PresenceError) as error:
                tell(id=number, error=error.condition)
            except Exception as error:  # of the library, or of ours: the test says which
                tell(id=number, error=repr(error))
        await self.disconnect()

    # What can be done.

    async def do_join(self, room, nick):
        own, subject, occupants, history = await self["xep_0045"].join_muc_wait(room, nick, timeout=60)
        return dict(
            nick=own["from"].resource,
            subject=subject["subject"],
            occupants=sorted(presence["from"].resource for presence in occupants),
            history=[message["body"] for message in history],
        )

    async def do_leave(self, room, nick):
        self["xep_0045"].leave_muc(room, nick)

    async def do_say(self, room, body):
        self.send_message(mto=room, mbody=body, mtype="groupchat")

    async def do_whisper(self, to, body):
        self.send_message(mto=to, mbody=body, mtype="chat")

    async def do_set_subject(self, room, subject):
        self["xep_0045"].set_subject(room, subject)

    async def do_configure(self, room, values):
        form = await self["xep_0045"].get_room_config(room)
        form.reply()
        form.set_values(values)
        await self["xep_0045"].set_room_config(room, form)

    async def do_kick(self, room, nick):
        await self["xep_0045"].set_role(room, nick, "none", reason="out")

    async def do_affiliate(self, room, jid, affiliation):
        await self["xep_0045"].set_affiliation(room, affiliation, jid=slixmpp.JID(jid))

    async def do_invite(self, room, jid):
        self["xep_0045"].invite(room, jid, reason="Tea?")

    async def do_rooms(self, service):
        items = await self["xep_0030"].get_items(service)
        return sorted(item[0] for item in items["disco_items"]["items"])

    async def do_page(self, room, max):
        """Goes through the whole archive of a room, page by page."""
        bodies = []
        async for message in self["xep_0313"].iterate(jid=room, rsm={"max": max}):
            body = message["mam_result"]["forwarded"]["stanza"]["body"]
            if body:
                bodies.append(body)
        return bodies


logging.basicConfig(level=logging.WARNING)
client = Client()
direct = options["tls"] == "direct"
client.connect((options["domain"], options["port"]), use_ssl=direct, force_starttls=not direct, disable_starttls=direct)
client.loop.run_until_complete(client.disconnected)
