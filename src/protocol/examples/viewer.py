#!/usr/bin/env python3
"""A viewer without the SDK: prints the chat, buys one unit when a sale opens, and reconnects.

    pip install websockets
    python3 viewer.py ws://127.0.0.1:8080 friday TOKEN [SKU]

TOKEN is one of POST /v1/shows/{show}/tokens. SPEC.md has the rules that are named here.
"""
import asyncio
import json
import random
import sys
import time
import uuid
from urllib.parse import urlencode

import websockets


class Viewer:
    def __init__(self, url, show, token, sku):
        self.url, self.show, self.token, self.sku = url, show, token, sku
        # Where this viewer is in the show: the rest follows from here after a lost connection (H-7).
        self.position = None
        # One key for one intent: however often it is sent, it is decided once.
        self.key = str(uuid.uuid4())
        self.bought = False
        # Sales that have refused, until an event changes them; and no request before this time.
        self.refused, self.not_before = set(), 0
        # The sale of a request without a reply, and whether missing events were asked for.
        self.asked, self.resuming = None, False
        self.sales = {}

    def note(self, message):
        """Moves the position. Returns whether events are missing. A chat group is [first id, time, [[index, time, name, text], ...]]."""
        at = self.position or {"epoch": None, "offset": 0, "chat": 0}
        for source in (message, message.get("snapshot") or {}):
            if "offset" in source:
                at["epoch"], at["offset"] = source["epoch"], source["offset"]
        is_missing = False
        for event in message.get("events", []):
            # After a gap events are ignored: they follow once more (E-2.3).
            is_missing = is_missing or event["offset"] > at["offset"] + 1
            if not is_missing:
                at["offset"] = max(at["offset"], event["offset"])
        for first, _, items in message.get("chat", []):
            for index, _, name, text, *_ in items:
                at["chat"] = max(at["chat"], first + index)
                print(f"{name}: {text}", flush=True)
        self.position = at
        return is_missing

    async def buy(self, socket):
        """Reserves one unit in the first open sale that has the SKU."""
        for sale in self.sales.values():
            if sale["id"] in self.refused or sale["state"] != "open":
                continue
            if any(sku["sku"] == self.sku for sku in sale["skus"]):
                line = {"sku": self.sku, "qty": 1}
                request = {"t": "reserve", "id": 1, "key": self.key, "sale": sale["id"], "lines": [line]}
                self.asked = sale["id"]
                await socket.send(json.dumps(request))
                return

    async def on_message(self, socket, message):
        kind = message["t"]
        if kind in ("welcome", "frame"):
            if self.note(message) and not self.resuming:
                self.resuming = True
                await socket.send(json.dumps({"t": "resume", "id": 3, **self.position}))
            sales = (message.get("snapshot") or {}).get("sales", [])
            sales = sales + [event["data"]["sale"] for event in message.get("events", []) if "sale" in event["data"]]
            for sale in sales:
                self.sales[sale["id"]] = sale
                self.refused.discard(sale["id"])
        elif message.get("id") == 3:
            self.resuming = False
            if kind == "error":
                # Without a position the next welcome has a snapshot.
                self.position = None
                await socket.close()
        elif message.get("id") == 1:
            reservation = message.get("data", {}).get("reservation")
            print(f"held {reservation['id']}" if reservation else f"refused: {message['message']}", flush=True)
            self.bought = reservation is not None
            if "retryAfterMs" in message:
                self.not_before = time.monotonic() + message["retryAfterMs"] / 1000
            elif not self.bought:
                self.refused.add(self.asked)
            self.asked = None
        # Also after the reply to a heartbeat, so that a retry does not wait for the next event.
        if self.sku and not self.bought and self.asked is None and time.monotonic() >= self.not_before:
            await self.buy(socket)

    async def heartbeat(self, socket, every_ms):
        while True:
            await asyncio.sleep(every_ms / 1000)
            await socket.send(json.dumps({"t": "sync", "id": 2, "at": int(time.time() * 1000)}))

    async def visit(self):
        """Reads until the connection is closed. Returns (close code, seconds to wait)."""
        query = "?" + urlencode(self.position) if self.position else ""
        address = f"{self.url}/v1/shows/{self.show}{query}"
        wait, beats = 0, None
        try:
            async with websockets.connect(address, subprotocols=["stampede.v1.json", f"token.{self.token}"]) as socket:
                async for data in socket:
                    message = json.loads(data)
                    if message["t"] == "welcome":
                        # A request without a reply is sent again, with its key.
                        self.asked, self.resuming = None, False
                        beats = asyncio.create_task(self.heartbeat(socket, message["limits"]["heartbeatMs"]))
                    if message["t"] == "bye":
                        wait = message.get("reconnectAfterMs", 0) / 1000
                        print(f"bye: {message.get('message', message['reason'])}", flush=True)
                    await self.on_message(socket, message)
                return socket.close_code, wait
        except (OSError, websockets.exceptions.WebSocketException) as error:
            print(f"lost: {error}", flush=True)
            return getattr(error, "code", 1006), wait
        finally:
            if beats:
                beats.cancel()

    async def run(self):
        attempt = 0
        while True:
            started = time.monotonic()
            code, wait = await self.visit()
            # 4200 to 4299 end for good.
            if 4200 <= code < 4300:
                return 1
            attempt = 0 if time.monotonic() - started > 5 else attempt + 1
            # Full jitter, and never before the time that the server asks for.
            await asyncio.sleep(wait + random.random() * min(30, 0.5 * 2**attempt))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(asyncio.run(Viewer(*sys.argv[1:4], sys.argv[4] if len(sys.argv) > 4 else None).run()))
