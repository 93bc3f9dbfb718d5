#!/bin/sh
# Make of an installed tree (make install PREFIX=/usr DESTDIR=DIR) all that a container needs: root.sh DIR
#
# Nothing of a distribution but the libraries that the programs are linked with, and one static busybox for `andon`, for
# take-keys.sh, for serve-metrics.sh and for somebody who looks inside (sh, ls, tar: kubectl cp wants it). A new library needs no edit here.
set -eu
root=$1
busybox=$(command -v busybox) || { echo "root.sh: error: no busybox here: apt-get install busybox-static" >&2; exit 69; }
rm -rf "$root/usr/share/man" "$root/usr/lib/systemd" "$root/usr/lib/sysusers.d"

ldd "$root"/usr/lib/andon/* 2>/dev/null | grep -o '/[^ ]*' | grep -v ':$' | sort -u | while read -r library; do
	[ -e "$root$library" ] && continue
	mkdir -p "$root${library%/*}"
	cp -L "$library" "$root$library"
done
for file in "$root"/usr/lib/andon/*; do strip "$file"; done

mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/run/andon" "$root/data"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in sh ls cat cp mv rm mkdir chown chmod sleep tar awk sed grep dirname install; do ln -sf busybox "$root/bin/$applet"; done
echo 'andon:x:10001:10001::/data:/bin/sh' >"$root/etc/passwd"
echo 'andon:x:10001:' >"$root/etc/group"
