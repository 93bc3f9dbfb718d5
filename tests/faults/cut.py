#!/usr/bin/python3
"""cut.py PORT TO_PORT BYTES…: a TCP proxy on loopback. The first connection is cut when so many bytes have come back from
TO_PORT as the first number says, the second by the second, and so on; later ones live. Ends with
SIGTERM, and says how many were cut."""
import selectors, signal, socket, sys, threading

port, to_port = int(sys.argv[1]), int(sys.argv[2])
limits = [int(a) for a in sys.argv[3:]]
cut = 0
lock = threading.Lock()


def pump(a, b, limit):
    """Both ways until one ends, or limit bytes have gone from b to a."""
    global cut
    left = limit
    selector = selectors.DefaultSelector()
    selector.register(a, selectors.EVENT_READ, b)
    selector.register(b, selectors.EVENT_READ, a)
    try:
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(1 << 16)
                if not data:
                    return
                if key.fileobj is b and left is not None:
                    data, over = data[:left], len(data) >= left
                    left -= len(data)
                    key.data.sendall(data)
                    if over:
                        with lock:
                            cut += 1
                        return
                else:
                    key.data.sendall(data)
    except OSError:
        return
    finally:
        a.close()
        b.close()


def accept():
    n = 0
    while True:
        a, _ = server.accept()
        try:
            b = socket.create_connection(("127.0.0.1", to_port))
        except OSError:
            a.close()
            continue
        limit = limits[n] if n < len(limits) else None
        n += 1
        threading.Thread(target=pump, args=(a, b, limit), daemon=True).start()


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
server = socket.create_server(("127.0.0.1", port))
threading.Thread(target=accept, daemon=True).start()
signal.sigwait({signal.SIGTERM})
print(cut)
