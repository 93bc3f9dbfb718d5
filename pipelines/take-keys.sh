#!/bin/sh
# take-keys SECRET PEERS TO [OWNER]: make TO a folder for --keys of a secret key and public ones that lie elsewhere, with the modes
# that the stages insist on. Service managers hand out secrets in folders of their own, as links and with modes of their own.
# TO exists. OWNER is whose it becomes, if root runs this. A second time it takes over what has changed.
set -eu
[ $# -eq 3 ] || [ $# -eq 4 ] || { echo "usage: take-keys SECRET PEERS TO [OWNER]" >&2; exit 64; }
umask 077
cat "$1" >"$3/secret.key.new"
[ -z "${4:-}" ] || chown "$4" "$3/secret.key.new"
mv "$3/secret.key.new" "$3/secret.key"
rm -rf "$3/peers.new" "$3/peers.old"
mkdir "$3/peers.new"
for key in "$2"/*.key; do
	[ -e "$key" ] || continue
	cat "$key" >"$3/peers.new/${key##*/}"
done
[ -z "${4:-}" ] || chown -R "$4" "$3/peers.new"
[ ! -e "$3/peers" ] || mv "$3/peers" "$3/peers.old"
mv "$3/peers.new" "$3/peers"
rm -rf "$3/peers.old"
