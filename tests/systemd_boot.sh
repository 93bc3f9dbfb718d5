#!/usr/bin/env bash
# A machine of its own, with systemd as its first process, over this one's files: systemd_boot.sh FOLDER
# What is changed there is gone afterwards. FOLDER is seen there as /andon: FOLDER/prepare runs before systemd does, the
# units that FOLDER/wants names are started, FOLDER/probe is run by systemd; when it ends, so does all.
set -euo pipefail
folder=$(realpath "$1")
[ "${2:-}" = inside ] || exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child "$0" "$folder" inside

ip link set lo up
mount --make-rprivate /
mkdir "$folder/tmp"
mount -t tmpfs tmpfs "$folder/tmp"
new=$folder/tmp/root
mkdir "$folder"/tmp/{upper,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/tmp/upper,workdir=$folder/tmp/work" "$new"
mount -t proc proc "$new/proc"
mount -t sysfs -o ro sysfs "$new/sys"
# What is set there would be set for the machine outside too.
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys"
mount -t tmpfs -o mode=755 tmpfs "$new/run"
mount -t tmpfs -o mode=1777 tmpfs "$new/tmp"
mount -t tmpfs -o mode=755 tmpfs "$new/dev"
for device in null zero full random urandom tty; do cp -a "/dev/$device" "$new/dev/"; done
mkdir "$new"/dev/{shm,pts,mqueue,hugepages}
mount -t devpts -o newinstance,ptmxmode=666 devpts "$new/dev/pts"
ln -s pts/ptmx "$new/dev/ptmx"
ln -s /proc/self/fd "$new/dev/fd"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 "$new/sys/fs/cgroup"
else
	mount -t tmpfs -o mode=755 tmpfs "$new/sys/fs/cgroup"
	mkdir "$new/sys/fs/cgroup/systemd"
	mount -t cgroup -o none,name=systemd cgroup "$new/sys/fs/cgroup/systemd"
fi
mkdir "$new/andon" "$new/andon-old"
mount --bind "$folder" "$new/andon"
cd "$new"
pivot_root . andon-old
umount -l /andon-old
/andon/prepare
cat >/etc/systemd/system/boot.target <<END
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket systemd-journald.service probe.service $(tr '\n' ' ' </andon/wants)
END
cat >/etc/systemd/system/probe.service <<END
[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
TimeoutStartSec=500
ExecStart=/andon/probe
StandardOutput=file:/andon/said
StandardError=inherit
END
exec env -i container=andon PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=boot.target \
	--log-target=journal --show-status=0
