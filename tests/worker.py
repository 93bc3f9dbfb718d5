#!/usr/bin/python3
"""worker.py IN OUT: a stage in Python, written from common/PROTOCOL.md. Connects to both addresses, takes pictures or
tensors from IN and sends to OUT how bright their top, middle and bottom thirds are, as scores."""
import os, sys, time, msgpack, numpy, zmq

WINDOW, CLASSES, INSTANCE, ZMQ = 4, ["top", "middle", "bottom"], os.urandom(16), zmq.Context()
ZMQ.sndhwm, ZMQ.rcvhwm, ZMQ.linger = 0, 0, 2000
DTYPES = {"f32": "<f4", "u8": "u1", "i8": "i1", "u16": "<u2", "i16": "<i2", "i32": "<i4", "f16": "<f2", "f64": "<f8"}

class Link:
    def __init__(self, url, role):
        self.url, self.role, self.socket = url, role, ZMQ.socket(zmq.DEALER)
        self.socket.connect(url)
        self.hello()

    def hello(self):
        self.session, self.heard, self.seq, self.room, self.freed = 0, time.monotonic(), 0, 0, 0
        self.say("HELLO", version=1, role=self.role, stage="worker.py", worker="python/%d" % os.getpid(),
                 instance=INSTANCE, max_frame=1 << 30, heartbeat_ms=1000)

    def say(self, kind, payload=None, **keys):
        self.said = time.monotonic()
        header = msgpack.packb({"kind": kind, **({"session": self.session} if self.session else {}), **keys})
        self.socket.send_multipart([header] if payload is None else [header, payload])

    def receive(self):
        """Looks after the session; the next message that matters beyond it: (kind, header, payload)."""
        if time.monotonic() - self.heard > (4 if self.session else 2):
            self.socket.close(0)
            self.__init__(self.url, self.role)
        elif self.session and time.monotonic() - self.said > 1:
            self.say("PING")
        if self.socket.poll(0):
            header, *payload = self.socket.recv_multipart()
            m = msgpack.unpackb(header)
            if m["kind"] == "REJECT" and m["code"] == "session" and m.get("session") == self.session:
                self.hello()
            elif m["kind"] in ("REJECT", "BYE", "NAK") and m["code"] in ("version", "role", "wants", "bad"):
                sys.exit("worker.py: refused: %s" % m.get("text", m["code"]))
            elif m.get("session") and (self.session == m["session"] or not self.session and m["kind"] == "WELCOME"):
                self.heard, self.session = time.monotonic(), m["session"]
                if m["kind"] == "PING":
                    self.say("PONG")
                return m["kind"], m, payload[0] if payload else None
        return "", {}, None

def work(m, payload):
    """The frame that goes on: the key, meta and times that came, and our own."""
    start, out = time.time_ns(), {k: v for k, v in m.items() if k not in ("kind", "session", "link_seq")}
    if m["status"] == "ok":
        rows = numpy.frombuffer(payload, DTYPES[m["dtype"]]).reshape(m["shape"]).astype("f8")
        rows = rows.mean(axis=(0, 1, 3)) if m["what"] == "tensor" else rows
        scores = numpy.array([part.mean() for part in numpy.array_split(rows, len(CLASSES))], "<f4")
        best, payload = int(scores.argmax()), scores.tobytes()
        meta = {"label": CLASSES[best], "label_id": best, "score": float(scores[best]), "worker": "python"}
        out.update(what="scores", dtype="f32", shape=[len(CLASSES)], size=len(payload), meta={**m.get("meta", {}), **meta},
                   times=m.get("times", [])[:7] + [["worker.py", start, time.time_ns() - start]])
    return [m["session"], m["link_seq"], out, payload]

up, down = Link(sys.argv[1], "receiver"), Link(sys.argv[2], "sender")
waiting, unacked, totals, eos, eos_id = [], {}, {}, None, 0
while True:
    zmq.select([up.socket, down.socket], [], [], 0.2)
    kind, m, payload = up.receive()
    if kind == "WELCOME":
        eos = up.say("CREDIT", upto=WINDOW)
    elif kind == "FRAME" and m["link_seq"] != up.seq + 1:
        up.hello()
    elif kind == "FRAME":
        up.seq = m["link_seq"]
        up.say("WORK", link_seq=up.seq)
        waiting.append(work(m, payload))
    elif kind == "EOS":
        totals.update({(t["source"], t["run"]): t for t in m.get("totals", [])})
        eos = None if m.get("more") else {"id": m["id"], "end": m.get("end", False), "told": (0, 0)}
    kind, m, payload = down.receive()
    if kind == "WELCOME":  # a new session: all that was not acknowledged goes again
        waiting, unacked = [unacked[n] for n in sorted(unacked)] + waiting, {}
    elif kind == "CREDIT":
        down.room = max(down.room, m["upto"])
    elif kind == "ACK":
        acked = [n for n in unacked if any(first <= n <= last for first, last in m["ranges"])]
        for session, seq, *_ in map(unacked.pop, acked):
            if session == up.session:
                up.say("ACK", ranges=[[seq, seq]])
    elif kind == "EOS_ACK" and eos and eos["told"] == (down.session, m["id"]):
        up.say("EOS_ACK", id=eos["id"])
        eos = sys.exit(up.say("BYE", code="done") or down.say("BYE", code="done")) if eos["end"] else None
    while waiting and down.session and down.seq < down.room:
        down.seq, item = down.seq + 1, waiting.pop(0)
        unacked[down.seq] = item
        down.say("FRAME", item[3], **{**item[2], "link_seq": down.seq})
        if item[0] == up.session and len(item) == 4:  # its room is free again, once
            up.freed += item.append("freed") or 1
            up.say("CREDIT", upto=WINDOW + up.freed)
    if eos and down.session and down.session != eos["told"][0] and not (eos["end"] and (waiting or unacked)):
        eos_id, eos["told"] = eos_id + 1, (down.session, eos_id + 1)
        down.say("EOS", id=eos_id, end=eos["end"], totals=list(totals.values()))
