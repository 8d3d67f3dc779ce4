"""Logs in with slixmpp and does what its plugins are for: each line { id, do, ... } is answered by { id, result } or { id, error }."""

import asyncio
import base64
import json
import logging
import sys
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0048.stanza import Bookmarks

options = json.loads(sys.argv[1])
PLUGINS = "0004 0012 0030 0048 0049 0050 0054 0059 0077 0079 0092 0153 0191 0199 0202 0203 0280 0297 0313 0352 0359"


def tell(**event):
    print(json.dumps(event), flush=True)


def told(message):
    """What the test is to know of a message."""
    delay = message["delay"]["stamp"] if message.get_plugin("delay", check=True) else None
    ids = [child.attrib["id"] for child in message.xml.iter("{urn:xmpp:sid:0}stanza-id")]
    return dict(
        **{"from": message["from"].full},
        type=message["type"],
        body=message["body"],
        stanza=message["id"],
        condition=message["error"]["condition"] if message["type"] == "error" else None,
        delayed=delay is not None,
        ids=ids,
    )


class Client(slixmpp.ClientXMPP):
    def __init__(self):
        super().__init__(f"{options['user']}@{options['domain']}/{options['resource']}", options["password"])
        self.ca_certs = options["ca"]
        # slixmpp looks even an address that it is given up, and then takes this port. The server listens on IPv4.
        self.default_port = options["port"]
        self.use_ipv6 = False
        for number in PLUGINS.split():
            self.register_plugin(f"xep_{number}", {"create_account": False} if number == "0077" else {})
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("message", lambda message: tell(event="message", **told(message)))
        self.add_event_handler("message_error", lambda message: tell(event="message", **told(message)))
        for direction in ("received", "sent"):
            self.add_event_handler(f"carbon_{direction}", lambda message, direction=direction: self.copied(direction, message))
        for kind in ("alert", "error", "notify"):
            self.add_event_handler(f"amp_{kind}", lambda message, kind=kind: tell(event="amp", status=kind, of=message["id"]))
        self.add_event_handler("vcard_avatar_update", self.avatar)
        self.add_event_handler("failed_all_auth", self.failed)
        self.add_event_handler("connection_failed", self.failed)

    async def started(self, _event):
        self.send_presence()
        await self.get_roster()
        tell(event="online", jid=self.boundjid.full)
        # Kept, or it is collected while it waits.
        self.obeying = asyncio.ensure_future(self.obey())

    def copied(self, direction, message):
        tell(event="carbon", direction=direction, **told(message[f"carbon_{direction}"]))

    def avatar(self, presence):
        tell(event="avatar", **{"from": presence["from"].full}, hash=presence["vcard_temp_update"]["photo"])

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
            except (IqError, IqTimeout) as error:
                tell(id=number, error=error.condition)
            except Exception as error:  # of the library, or of ours: the test says which
                tell(id=number, error=repr(error))
        await self.disconnect()

    # What can be done.

    async def do_send(self, to, body, type="chat", rules=()):
        message = self.make_message(mto=to, mbody=body, mtype=type)
        for rule in rules:
            message["amp"].add_rule(*rule)
        message.send()
        return message["id"]

    async def do_presence(self, type=None, to=None, status=None):
        self.send_presence(ptype=type, pto=to, pstatus=status)

    async def do_page(self, max):
        """Goes through the whole archive, page by page."""
        bodies = []
        async for message in self["xep_0313"].iterate(rsm={"max": max}):
            bodies.append(message["mam_result"]["forwarded"]["stanza"]["body"])
        return dict(count=len(bodies), first=bodies[0], last=bodies[-1], isOrdered=bodies == sorted(bodies))

    async def do_last_page(self, max):
        newest = self["xep_0313"].iterate(reverse=True, rsm={"max": max}, total=max)
        return [message["mam_result"]["forwarded"]["stanza"]["body"] async for message in newest]

    async def do_archived(self, body):
        """The ids, as their senders gave them, of the archived messages with this body."""
        stanzas = [message["mam_result"]["forwarded"]["stanza"] async for message in self["xep_0313"].iterate()]
        return [stanza["id"] for stanza in stanzas if stanza["body"] == body]

    async def do_metadata(self):
        iq = await self["xep_0313"].get_archive_metadata()
        return [iq["mam_metadata"]["start"]["id"], iq["mam_metadata"]["end"]["id"]]

    async def do_carbons(self, enable):
        await (self["xep_0280"].enable() if enable else self["xep_0280"].disable())

    async def do_block(self, jid):
        await self["xep_0191"].block([jid])

    async def do_unblock(self, jid):
        await self["xep_0191"].unblock([jid])

    async def do_blocked(self):
        iq = await self["xep_0191"].get_blocked()
        return sorted(jid.full for jid in iq["blocklist"]["items"])

    async def do_set_bookmark(self, jid, name):
        bookmarks = Bookmarks()
        bookmarks.add_conference(jid, "romeo", name=name, autojoin=True)
        await self["xep_0048"].set_bookmarks(bookmarks, method="xep_0049")

    async def do_bookmarks(self):
        iq = await self["xep_0048"].get_bookmarks(method="xep_0049")
        return [[str(one["jid"]), one["name"], one["nick"]] for one in iq["private"]["bookmarks"]["conferences"]]

    async def do_set_vcard(self, name):
        vcard = self["xep_0054"].make_vcard()
        vcard["FN"] = name
        await self["xep_0054"].publish_vcard(vcard)

    async def do_vcard(self, jid):
        iq = await self["xep_0054"].get_vcard(jid, cached=False)
        photo = iq["vcard_temp"]["PHOTO"]["BINVAL"]
        return [iq["vcard_temp"]["FN"], base64.b64encode(photo).decode() if photo else None]

    async def do_set_avatar(self, picture):
        await self["xep_0153"].set_avatar(avatar=base64.b64decode(picture), mtype="image/png")

    async def do_last_activity(self, jid):
        iq = await self["xep_0012"].get_last_activity(jid)
        return [int(iq["last_activity"]["seconds"]), iq["last_activity"]["status"] or ""]

    async def do_commands(self, jid):
        iq = await self["xep_0050"].get_commands(jid)
        return [[node, name] for _jid, node, name in iq["disco_items"]["items"]]

    async def do_command(self, jid, node):
        iq = await self["xep_0050"].send_command(jid, node)
        return [iq["command"]["status"], [text for _type, text in iq["command"]["notes"]]]

    async def do_ping(self, jid):
        return await self["xep_0199"].ping(jid) >= 0

    async def do_version(self, jid):
        return (await self["xep_0092"].get_version(jid))["software_version"]["name"]

    async def do_time(self, jid):
        iq = await self["xep_0202"].get_entity_time(jid)
        # This version of slixmpp appends a second Z before it parses.
        return iq.xml.find(".//{urn:xmpp:time}utc").text

    async def do_address(self):
        # slixmpp knows version 0 of XEP-0279 only.
        iq = self.make_iq_get()
        iq.append(ET.Element("{urn:xmpp:sic:1}address"))
        return (await iq.send()).xml.find(".//{urn:xmpp:sic:1}ip").text

    async def do_inactive(self, inactive):
        self["xep_0352"].send_inactive() if inactive else self["xep_0352"].send_active()

    async def do_password(self, password):
        await self["xep_0077"].change_password(password, jid=options["domain"])

    async def do_cancel(self):
        await self["xep_0077"].cancel_registration(jid=options["domain"])


logging.basicConfig(level=logging.WARNING)
client = Client()
direct = options["tls"] == "direct"
client.connect((options["domain"], options["port"]), use_ssl=direct, force_starttls=not direct, disable_starttls=direct)
client.loop.run_until_complete(client.disconnected)
