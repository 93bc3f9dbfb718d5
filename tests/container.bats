# pipelines/container: what goes into the image, made here without one; and run where containers can be run.
load helper

parts=$TOP/pipelines/demo/parts
model=$TOP/pipelines/demo/rings.onnx

setup_file() {
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
	umount "$BATS_TEST_TMPDIR/store/vfs" 2>/dev/null || true
}

# podman with everything of its own in the test's folder.
pod() {
	podman --root "$BATS_TEST_TMPDIR/store" --runroot "$BATS_TEST_TMPDIR/runroot" --storage-driver vfs \
		--cgroup-manager cgroupfs --runtime "$runtime" "$@"
}

# A runtime that starts a container here: in $runtime, with the image localhost/andon:0.1. Skips, loudly, if none does.
need_container() {
	[ "$(id -u)" -eq 0 ] || skip "not root: NO CONTAINER WAS RUN"
	command -v podman >/dev/null || skip "no podman here: NO CONTAINER WAS RUN"
	limits=(--ulimit nofile=1024:1024 --ulimit nproc=4096:4096)
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
