#!/usr/bin/python3
"""twice.py URL TO_URL: stands between a connecter and a binder and hands on every message twice, both ways. Ends with
SIGTERM, and says how many."""
import signal, sys
import zmq

context = zmq.Context()
front = context.socket(zmq.ROUTER)
front.setsockopt(zmq.LINGER, 0)
front.bind(sys.argv[1])
poller = zmq.Poller()
poller.register(front, zmq.POLLIN)


def end(*_):
    print(doubled, flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
backs, names = {}, {}  # by the connecter's routing id; and back
doubled = 0
while True:
    for socket, _ in poller.poll():
        if socket is front:
            name, *parts = front.recv_multipart()
            if name not in backs:
                back = context.socket(zmq.DEALER)
                back.setsockopt(zmq.LINGER, 0)
                back.connect(sys.argv[2])
                poller.register(back, zmq.POLLIN)
                backs[name], names[back] = back, name
            to, start = backs[name], []
        else:
            parts = socket.recv_multipart()
            to, start = front, [names[socket]]
        for _ in range(2):
            to.send_multipart(start + parts)
        doubled += 1
