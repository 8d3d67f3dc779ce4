"""A component with slixmpp that answers every message with its body, as README.md says."""

import json
import logging
import sys

import slixmpp

options = json.loads(sys.argv[1])


def tell(**event):
    print(json.dumps(event), flush=True)


class Component(slixmpp.ComponentXMPP):
    def __init__(self):
        super().__init__(options["domain"], options["secret"], "127.0.0.1", options["port"])
        self.register_plugin("xep_0030")
        self.add_event_handler("session_start", lambda _event: tell(event="online", jid=options["domain"]))
        self.add_event_handler("message", self.received)
        self.add_event_handler("stream_error", lambda error: tell(event="error", condition=error["condition"]))
        self.add_event_handler("disconnected", lambda _event: self.loop.stop())

    def received(self, message):
        if message["body"]:
            self.send_message(
                mto=message["from"], mfrom=message["to"], mbody=message["body"], mtype=message["type"]
            )

    def stop(self):
        # The input ends: the component leaves as a program does that is told to.
        if not sys.stdin.read(1):
            self.loop.remove_reader(sys.stdin)
            self.disconnect()


logging.basicConfig(level=logging.WARNING)
component = Component()
component.connect()
component.loop.add_reader(sys.stdin, component.stop)
component.loop.run_forever()
