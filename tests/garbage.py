#!/usr/bin/python3
"""garbage.py URL: says all kinds of nonsense to a bound stage, as several peers. Ends with 0 if the stage has
answered as PROTOCOL.md says and is still there: a future version gets REJECT, and so does what is malformed."""
import os, random, socket, sys
import msgpack, zmq

url = sys.argv[1]
context = zmq.Context()
context.linger = 500
HELLO = {"kind": "HELLO", "version": 1, "role": "receiver", "stage": "garbage", "instance": bytes(16),
         "max_frame": 1 << 20, "heartbeat_ms": 1000}


def peer():
    s = context.socket(zmq.DEALER)
    s.connect(url)
    return s


def answers(s, kind, code):
    for _ in range(50):
        if not s.poll(60000):
            break
        m = msgpack.unpackb(s.recv_multipart()[0])
        if m["kind"] == kind and m.get("code") == code:
            return m
    sys.exit("no %s %s came" % (kind, code))


def wrong_parts():
    for parts in ([b""], [b"", b""], [b"\xc1"], [b"\xdf\xff\xff\xff\xff"], [b"x" * 5000],
                  [msgpack.packb({"kind": "PING"})], [msgpack.packb(HELLO), b"", b""]):
        s = peer()
        s.send_multipart(parts)
        print(parts[0][:8], answers(s, "REJECT", "bad")["text"])


def future():
    s = peer()
    s.send(msgpack.packb({"kind": "HELLO", "version": 2, "stage": "tomorrow", "colour": {"a": [1]}}))
    print(answers(s, "REJECT", "version")["text"])
    s = peer()
    s.send(msgpack.packb({**HELLO, "role": "sender"}))
    print(answers(s, "REJECT", "role")["text"])


def unknown_session():
    s = peer()
    s.send(msgpack.packb({"kind": "CREDIT", "session": 77, "upto": 1000000}))
    answers(s, "REJECT", "session")


def flood():
    """More than sixteen: ignored from then on, and nobody else is."""
    s, other = peer(), peer()
    for i in range(40):
        s.send(os.urandom(i))
    other.send(b"\x00")
    answers(other, "REJECT", "bad")


def fuzz():
    random.seed(1)
    good = [msgpack.packb(HELLO), msgpack.packb({"kind": "ACK", "session": 5, "ranges": [[1, 9]]}),
            msgpack.packb({"kind": "FRAME", "session": 5, "link_seq": 1, "status": "ok", "size": 4, "source": "s",
                           "run": 1, "seq": 1, "what": "image", "dtype": "u8", "shape": [2, 2, 1]})]
    for _ in range(30):
        s = peer()
        for _ in range(15):
            header = bytearray(random.choice(good))
            header[random.randrange(len(header))] = random.randrange(256)
            s.send_multipart([bytes(header)] + [b"1234"] * random.randrange(3))
        s.close()


def in_session():
    """A real session that then lies: acknowledges what it never got, sends what only the other side may."""
    s = peer()
    s.send(msgpack.packb({**HELLO, "instance": os.urandom(16)}))
    session = answers(s, "WELCOME", None)["session"]
    for m in ({"kind": "ACK", "ranges": [[1, 2**63]]}, {"kind": "EOS_ACK", "id": 2**63}, {"kind": "EOS", "id": 1, "end": True},
              {"kind": "FRAME", "link_seq": 1, "status": "ok", "source": "test", "run": 1, "seq": 1, "what": "image"},
              {"kind": "NAK", "link_seq": 7, "code": "bad"}, {"kind": "WORK", "link_seq": 9}, {"kind": "DANCE"}):
        s.send(msgpack.packb({**m, "session": session}))
    s.send(msgpack.packb({"kind": "PING", "session": session}))
    answers(s, "PONG", None)


def raw():
    """Bytes that are not even ZeroMQ's."""
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, os.urandom(4096), b"\xff\0\0\0\0\0\0\0\1\x7f"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(url[len("ipc://"):])
        s.sendall(data)
        s.close()


for test in (raw, wrong_parts, future, unknown_session, flood, fuzz, in_session, raw):
    test()
