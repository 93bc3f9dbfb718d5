# pipelines/container: what goes into the image, made here without one; and run where containers can be run.
load helper

parts=$TOP/pipelines/demo/parts
model=$TOP/pipelines/demo/rings.onnx

setup_file() {
	export BATS_TEST_TIMEOUT=3600 # a whole system is installed, and everything built
	command -v busybox >/dev/null || skip "no busybox here (busybox-static)"
	make -s -C "$TOP" B="$BUILD" install PREFIX=/usr DESTDIR="$BATS_FILE_TMPDIR/root" >/dev/null
	"$TOP/pipelines/container/root.sh" "$BATS_FILE_TMPDIR/root"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	root=$BATS_FILE_TMPDIR/root
}

teardown() {
	[ -z "${container:-}" ] || pod rm -f -t 0 --all >/dev/null 2>&1 || true
	[ -z "${net:-}" ] || ip netns del "$net"
}

# podman with everything of its own in the test's folder.
pod() {
	${net:+nsenter --net="/run/netns/$net"} podman --root "$BATS_TEST_TMPDIR/store" --runroot "$BATS_TEST_TMPDIR/runroot" --storage-driver vfs \
		--cgroup-manager cgroupfs --runtime "$runtime" "$@"
}

need_limits() { limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096); }

# A runtime that starts a container here: in $runtime, with the image localhost/andon:0.1. Skips, loudly, if none does.
need_container() {
	[ "$(id -u)" -eq 0 ] || skip "not root: NO CONTAINER WAS RUN"
	command -v podman >/dev/null || skip "no podman here: NO CONTAINER WAS RUN"
	need_limits
	for runtime in crun runc; do
		command -v "$runtime" >/dev/null || continue
		tar -C "$root" -c . | pod import --change USER=10001:10001 --change 'ENV PATH=/usr/lib/andon:/usr/bin:/bin' \
			--change ENV=XDG_RUNTIME_DIR=/tmp - localhost/andon:0.1 >/dev/null 2>why || continue
		container=yes
		pod run --rm --network none "${limits[@]}" localhost/andon:0.1 /bin/sh -c true >/dev/null 2>why && return
	done
	skip "NO CONTAINER WAS RUN: $(tail -n 1 why)"
}

@test "the image is under 100 MB, by far, and lacks no library" {
	size=$(du -s --apparent-size --block-size=1 "$root" | cut -f 1)
	echo "$((size / 1000000)) MB"
	[ "$size" -lt 50000000 ]
	[ "$(chroot "$root" /usr/lib/andon/infer --version)" = "$(infer --version)" ]
	for program in "$root"/usr/lib/andon/*; do
		chroot "$root" "/usr/lib/andon/${program##*/}" --help | grep -q Usage
	done
	chroot "$root" /bin/sh -c 'tar --help' 2>&1 | grep -q extract
	[ -z "$(find "$root" -perm /6000)" ]
}

@test "in a container that can write nothing but its folders, as nobody special: the rows of the demo" {
	need_container
	mkdir -m 777 out
	pod run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges "${limits[@]}" \
		-v "$parts:/data/parts:ro" -v "$(dirname "$model"):/data/model:ro" -v "$PWD/out:/data/out" localhost/andon:0.1 \
		/bin/sh -c 'id -u >/dev/null; cd /data; set -o pipefail
			capture parts | preprocess | infer -m model/rings.onnx | sink --quiet out/x.db'
	[ "$(rows out/x.db)" -eq 60 ]
	capture "$parts" | preprocess | infer -m "$model" | sink calm.db --quiet
	[ "$(sql out/x.db 'select seq, scores from results order by 1')" = "$(sql calm.db 'select seq, scores from results order by 1')" ]
	[ "$(stat -c %u out/x.db)" = 10001 ]
}

# The system that FROM names, made here: no registry is asked. With this machine's package sources, whichever they are.
base_image() { # NAME
	local mirror conf
	command -v debootstrap >/dev/null || skip "no debootstrap here: THE CONTAINERFILE WAS NOT BUILT"
	export DPKG_FORCE=unsafe-io
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' 'Created-By: Packages' | head -n 1)
	[ -n "$mirror" ] || skip "no Debian 12 among this machine's package sources: THE CONTAINERFILE WAS NOT BUILT"
	debootstrap --variant=minbase --include=ca-certificates bookworm base "$mirror" >debootstrap.log 2>&1 ||
		skip "debootstrap: THE CONTAINERFILE WAS NOT BUILT: $(tail -n 1 debootstrap.log)"
	rm -f base/etc/apt/sources.list
	cp -a /etc/apt/sources.list* base/etc/apt/
	for conf in /etc/apt/apt.conf.d/99*; do [ ! -e "$conf" ] || cp "$conf" base/etc/apt/apt.conf.d/; done
	cp /etc/hosts base/etc/hosts
	echo force-unsafe-io >base/etc/dpkg/dpkg.cfg.d/unsafe-io # as in the image of that name
	tar -C base --exclude=./var/cache/apt/archives/\*.deb -c . | pod import - "$1" >/dev/null
	rm -rf base
}

# Some minutes on an idle machine: LONG=1 tests/run container.
# bats test_tags=long
@test "the Containerfile builds, into an image under 100 MB whose programs run, by the words at its top" {
	[ "$(id -u)" -eq 0 ] || skip "not root: THE CONTAINERFILE WAS NOT BUILT"
	command -v podman >/dev/null || skip "no podman here: THE CONTAINERFILE WAS NOT BUILT"
	file=$TOP/pipelines/container/Containerfile runtime=runc container=yes
	base_image "docker.io/library/$(sed -n 's/^FROM \(.*\) AS build$/\1/p' "$file")"
	# What git knows, as it stands here.
	mkdir source
	git -C "$TOP" ls-files -z --cached --others --exclude-standard | tar -C "$TOP" --null -T - -c | tar -C source -x
	pod build --isolation chroot --network host --pull=never -t localhost/andon-built -f source/pipelines/container/Containerfile source >build.log 2>&1 ||
		{ tail -n 20 build.log; false; }
	size=$(pod image inspect --format '{{.Size}}' localhost/andon-built)
	echo "$((size / 1000000)) MB"
	[ "$size" -lt 100000000 ]
	[ "$(pod image inspect --format '{{.Config.User}} {{.Config.WorkingDir}}' localhost/andon-built)" = "10001:10001 /data" ]

	# In a container, where one can be run; else in its tree.
	mkdir -m 777 out
	line='cd /data; set -o pipefail; capture parts | preprocess | infer -m model/rings.onnx | sink --quiet out/x.db'
	need_limits
	if pod run --rm --network none "${limits[@]}" localhost/andon-built sh -c true 2>why; then
		pod run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL "${limits[@]}" -v "$parts:/data/parts:ro" \
			-v "$(dirname "$model"):/data/model:ro" -v "$PWD/out:/data/out" localhost/andon-built sh -c "$line"
	else
		echo "# NO CONTAINER WAS RUN ($(tail -n 1 why)), its tree was" >&3
		tree=$(pod image mount localhost/andon-built)
		cp -r "$tree" tree
		mkdir -p tree/data/model tree/data/out
		cp -r "$parts" tree/data/parts
		cp "$(dirname "$model")"/rings.* tree/data/model/
		chroot tree /bin/sh -c "PATH=/usr/lib/andon:/bin XDG_RUNTIME_DIR=/tmp; export PATH XDG_RUNTIME_DIR; $line"
		cp tree/data/out/x.db out/
	fi
	[ "$(rows out/x.db)" -eq 60 ]
}

# podman needs half a minute for each pod: LONG=1 tests/run container.
# bats test_tags=long
@test "podman kube play: the pods of pipelines/kubernetes make rows, and one that is killed comes again" {
	need_python yaml
	need_container
	ip netns add "andon$$" 2>why || skip "no network namespaces: NO POD WAS RUN: $(cat why)"
	net=andon$$
	nsenter --net="/run/netns/$net" ip link set lo up
	chmod a+rX "$BATS_TEST_TMPDIR"
	printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n' >containers.conf
	export CONTAINERS_CONF=$PWD/containers.conf
	cp -r "$TOP/pipelines/kubernetes" k
	rm k/kustomization.yaml
	keygen --name andon-preprocess k/keys 2>/dev/null
	cp k/keys/peers/andon-preprocess.key k/keys/peers/andon-sink.key
	"$PYTHON" "$TOP/tests/kubernetes_pods.py" k "$PWD/volumes" >pods.yaml
	cp "$model" volumes/andon-data/model.onnx
	cp "${model%.onnx}.json" volumes/andon-data/model.json
	mkdir -p volumes/andon-data/in
	chown -R 10001:10001 volumes/andon-data
	pod kube play pods.yaml >played 2>&1 || { tail -n 5 played; false; }
	cp "$parts"/ring-00* volumes/andon-data/in/
	chown -R 10001:10001 volumes/andon-data/in
	stored() { [ "$(rows volumes/andon-sink/results.db)" -eq "$1" ]; }
	wait_until 60 stored 9 || { for c in $(pod ps -aq); do pod logs "$c"; done; pod ps -a; false; }
	for probe in infer capture preprocess sink; do
		pod exec "andon-$probe-$probe" /usr/lib/andon/ping --max-busy 60s "ipc:///run/andon/status/$probe" | grep -q "$probe"
	done
	served() {
		nsenter --net="/run/netns/$net" "$PYTHON" -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:9617/metrics.txt").read().decode())' >metrics
		grep '^andon_queue_length{stage="infer",worker=.*} 0$' metrics
	}
	wait_until 60 served || { cat metrics; pod logs andon-infer-metrics; false; }
	pod kill -s KILL andon-infer-infer >/dev/null
	cp "$parts"/ring-01* "$BATS_TEST_TMPDIR/"
	chown 10001:10001 ring-01*
	mv ring-01* volumes/andon-data/in/
	wait_until 60 stored 19 || { pod start andon-infer-infer; wait_until 60 stored 19; }
	[ "$(sql volumes/andon-sink/results.db "select count(distinct seq), count(label) from results")" = "19|19" ]
}
