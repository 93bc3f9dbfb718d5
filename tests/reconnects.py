#!/usr/bin/python3
"""reconnects.py URL N: N sessions, one after the other, each of a receiver that comes, grants room, takes a frame and
dies without a word. Ends with 0 if each was welcomed."""
import os, sys
import msgpack, zmq

context = zmq.Context()
for i in range(int(sys.argv[2])):
    s = context.socket(zmq.DEALER)
    s.connect(sys.argv[1])
    s.send(msgpack.packb({"kind": "HELLO", "version": 1, "role": "receiver", "stage": "fickle", "instance": os.urandom(16),
                          "max_frame": 1 << 20, "heartbeat_ms": 1000}))
    frames = 0
    while not frames:
        if not s.poll(10000):
            sys.exit("session %d: nothing came" % i)
        m = msgpack.unpackb(s.recv_multipart()[0])
        if m["kind"] == "WELCOME":
            s.send(msgpack.packb({"kind": "CREDIT", "session": m["session"], "upto": 2}))
        frames += m["kind"] == "FRAME"
    s.close(0)
