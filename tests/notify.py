"""A service manager's ear, for tests: what comes to the socket goes to a file, a datagram a line.

notify.py SOCKET FILE: SOCKET is a path, or @name of the abstract kind. Line: seconds since this began, a tab, what was
said. The file exists once the socket does.
"""
import socket
import sys
import time

name, path = sys.argv[1:]
ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind("\0" + name[1:] if name.startswith("@") else name)
began = time.monotonic()
with open(path, "w", buffering=1) as out:
    while True:
        said = ear.recv(65536).decode("utf-8", "replace").replace("\n", " ")
        out.write(f"{time.monotonic() - began:.3f}\t{said}\n")
