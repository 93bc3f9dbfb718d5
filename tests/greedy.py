#!/usr/bin/python3
"""greedy.py ADDRESS HOW ROUNDS: a receiver that never reads what it is sent. HOW: hello (greets again and again, and grants
room each time), ping (asks, and asks), ack (acknowledges frames that it has not read, and grants room)."""
import os, sys, time, msgpack, zmq

address, how, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = zmq.Context()

def connect():
    s = context.socket(zmq.DEALER)
    s.rcvhwm, s.sndhwm, s.linger, s.rcvbuf = 1, 0, 0, 4096
    s.connect(address)
    return s

def say(kind, **keys):
    socket.send(msgpack.packb({"kind": kind, **keys}))

def hello():
    say("HELLO", version=1, role="receiver", stage="greedy", worker="greedy/%d" % os.getpid(), instance=os.urandom(16),
        max_frame=1 << 30, heartbeat_ms=1000)

socket = connect()
hello()
session = None
while session is None:  # the one thing that it reads
    m = msgpack.unpackb(socket.recv_multipart()[0])
    session = m["session"] if m["kind"] == "WELCOME" else None
for i in range(rounds):
    if how == "hello":
        # The new session's id is in what is not read: room for it can only be guessed, so greet until frames pile up.
        say("CREDIT", session=session, upto=1 << 40)
        hello()
    elif how == "ping":
        say("PING", session=session)
    else:
        say("CREDIT", session=session, upto=1 << 40)
        say("ACK", session=session, ranges=[[1, 1 << 40]])
    if i % 100 == 99:
        time.sleep(0.001 if how == "ping" else 0.05)
time.sleep(1)
