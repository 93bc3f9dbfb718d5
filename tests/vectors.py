#!/usr/bin/python3
"""The vectors of PROTOCOL.md, so that the document cannot go stale.

vectors.py DOCUMENT                 lines "ok HEX" and "bad HEX" for common_wire_refuse --vectors
vectors.py --compare DOCUMENT       the JSON of each vector against its bytes, by another decoder
vectors.py --keys DOCUMENT TABLE    every kind and key of wire_table.c stands in the document
vectors.py --write DOCUMENT         write the bytes below each JSON line anew
"""
import json
import re
import sys

PAIR = re.compile(r"```json\n(.*?)\n```\n(?:\n```hex\n(.*?)\n```\n)?", re.S)


def of_json(value):
    if isinstance(value, dict):
        if set(value) == {"bin"}:
            return bytes.fromhex(value["bin"])
        return {key: of_json(item) for key, item in value.items()}
    return [of_json(item) for item in value] if isinstance(value, list) else value


def bad_lines(text):
    for block in re.findall(r"```bad\n(.*?)\n```", text, re.S):
        for line in block.splitlines():
            yield re.match(r"(?:[0-9a-f]{2}(?: |$))+", line).group().replace(" ", "")


def write(path, text):
    import msgpack

    def pair(match):
        data = msgpack.packb(of_json(json.loads(match.group(1)))).hex(" ")
        lines = re.findall(r".{1,143}(?: |$)", data)
        return "```json\n%s\n```\n\n```hex\n%s\n```\n" % (
            match.group(1), "\n".join(line.strip() for line in lines))

    with open(path, "w", encoding="utf-8") as out:
        out.write(PAIR.sub(pair, text))


def compare(text):
    import msgpack
    wrong = 0
    for line, data in PAIR.findall(text):
        said = of_json(json.loads(line))
        meant = msgpack.unpackb(bytes.fromhex(data))
        if said != meant or list(said) != list(meant):
            print("differs:", line)
            wrong += 1
    return wrong


def keys(text, table):
    with open(table, encoding="utf-8") as source:
        code = source.read()
    kinds = re.search(r"wire_kinds\[\] = \{(.*?)\}", code, re.S).group(1)
    words = re.findall(r'\{ KEY\("(\w+)"\),\s+WIRE_', code)
    words += [word for block in re.findall(r"\[\] = \{(.*?)\}", code, re.S)
              for word in re.findall(r'"(\w+)"', block)]
    missing = {word for word in words if "`%s`" % word not in text}
    print("%d words, missing: %s" % (len(set(words)), sorted(missing)))
    return bool(missing) or len(kinds) < 100 or len(set(words)) < 60


def main(arguments):
    mode = arguments.pop(0) if arguments[0].startswith("--") else ""
    with open(arguments[0], encoding="utf-8") as document:
        text = document.read()
    if mode == "--write":
        return write(arguments[0], text)
    if mode == "--compare":
        return compare(text)
    if mode == "--keys":
        return keys(text, arguments[1])
    for _, data in PAIR.findall(text):
        print("ok", "".join(data.split()))
    for data in bad_lines(text):
        print("bad", data)
    return 0


sys.exit(main(sys.argv[1:]))
