# pipelines/kubernetes: the manifests against schemas of our own (tests/kubernetes_check.py), and what kubectl makes of them.
load helper

setup() {
	need_python yaml jsonschema
	cd "$BATS_TEST_TMPDIR" || return
	cp -r "$TOP/pipelines/kubernetes" k
	chmod -R u+w k
}

teardown() {
	# Killed, it could not take its web server with it.
	if [ -n "${SERVE:-}" ] && kill "$SERVE" 2>/dev/null; then wait "$SERVE" || true; fi
	end_started
}

check() { "$PYTHON" "$TOP/tests/kubernetes_check.py" k "$BIN"; }

@test "the manifests are what Kubernetes takes, and belong together" {
	run -0 check
	[[ $output == *"4 workloads"* ]]
}

# Each line changes one thing: file, sed expression, a word of what must be said.
@test "the check sees a misspelt field, a loose end, an option that does not exist: 37 such" {
	local file change word n=0
	while IFS='|' read -r file change word; do
		rm -rf k
		cp -r "$TOP/pipelines/kubernetes" k
		sed -i "$change" "k/$file"
		run ! cmp "$TOP/pipelines/kubernetes/$file" "k/$file"
		[ "$status" -eq 1 ] || { echo "nothing changed: $change"; return 1; }
		run check
		[ "$status" -ne 0 ] && [[ $output == *"$word"* ]] || { echo "$file $change: $output"; return 1; }
		n=$((n + 1))
	done <<-'END'
		infer.yaml|s/livenessProbe/livenesProbe/|livenesProbe
		infer.yaml|s/runAsNonRoot: true/runAsNonRoot: false/|runAsNonRoot
		infer.yaml|s/readOnlyRootFilesystem: true/readOnlyRootFilesystem: "true"/|readOnlyRootFilesystem
		infer.yaml|s/drop: \[ALL\]/drop: [NET_RAW]/|drop
		infer.yaml|s/type: RuntimeDefault/type: Unconfined/|seccompProfile
		infer.yaml|s/terminationGracePeriodSeconds: 40/terminationGracePeriodSeconds: 20/|drains
		infer.yaml|s/memory: 4Gi/memory: 4 GB/|4 GB
		infer.yaml|s/--model=/--modell=/|--modell
		infer.yaml|s/--max-busy/--max-bussy/|--max-bussy
		infer.yaml|s/tcp:\/\/andon-preprocess:5601/tcp:\/\/andon-preprocess:5603/|with port 5603
		infer.yaml|s/andon-sink:5602/andon-sinks:5602/|no Service andon-sinks
		infer.yaml|s/claimName: andon-data/claimName: data/|no claim data
		infer.yaml|s/secretName: andon-keys/secretName: keys/|no Secret keys
		infer.yaml|s/- {name: run, mountPath/- {name: runs, mountPath/|no volume runs
		infer.yaml|s/status\/infer"/status\/worker"/|nobody answers
		infer.yaml|s/kind: Deployment, name: andon-infer/kind: Deployment, name: andon-infers/|no andon-infers
		infer.yaml|s/XDG_RUNTIME_DIR/XDG_RUNTIME/|sockets cannot be made
		infer.yaml|s/averageValue: "2"/averageValue: eight/|eight
		infer.yaml|s/name: andon_queue_length/name: andon_queue/|has no andon_queue
		infer.yaml|s/matchLabels: {stage: infer}/matchLabels: {stage: sink}/|no pod of andon-infer says
		infer.yaml|s/- ipc:\/\/\/run\/andon\/status\/infer/- ipc:\/\/\/run\/andon\/status\/worker/|nobody is at
		infer.yaml|s/- "9617"/- "9618"/|port 9618
		infer.yaml|s/prometheus.io\/port: "9617"/prometheus.io\/port: "9618"/|annotations
		infer.yaml|s/httpGet: {path: \/metrics.txt/httpGet: {path: \/metrics/|nobody answers
		infer.yaml|s/serve-metrics.sh/serve-metric.sh/|not in the image
		infer.yaml|s/value: 1, periodSeconds/value: 0, periodSeconds/|policies
		metrics/podmonitor.yaml|s/port: metrics/port: metric/|no such port
		metrics/adapter.yaml|s/andon_queue_length/andon_queue/|adapter.yaml has no
		infer.yaml|s/defaultMode: 0440/defaultMode: 0644/|defaultMode
		preprocess.yaml|/matchLabels/s/component: preprocess/component: prep/|its selector is not its labels
		preprocess.yaml|s/port: 5601, targetPort: tensors/port: 5601, targetPort: tensor/|no port tensor
		preprocess.yaml|s/containerPort: 5600/containerPort: 5610/|not among its ports
		sink.yaml|s/serviceName: andon-sink/serviceName: sink/|no Service sink
		sink.yaml|s/\/data\/results.db/\/date\/results.db/|on no volume
		sink.yaml|s/mountPath: \/data/mountPath: \/store/|on no volume
		kustomization.yaml|s/  - sink.yaml//|resources
		kustomization.yaml|s/andon-sink.key=/andon-sinks.key=/|no andon-sink.key
	END
	[ "$n" -eq 37 ]
}

# What serves the numbers in a pod, as the manifest starts it, on a port of this test.
serve() { # URL
	command -v busybox >/dev/null || skip "no busybox here (busybox-static)"
	port=$(free_port)
	start SERVE env PING="$BIN/ping" TMPDIR="$BATS_TEST_TMPDIR" EVERY=0.2 "$TOP/pipelines/serve-metrics.sh" "127.0.0.1:$port" "$1" 3>&-
	wait_until 20 fetch /metrics.txt
}
fetch() { # PATH: what is there; its status is in $code
	code=$("$PYTHON" - "$port" "$1" "${2:-GET}" <<-'END'
		import socket, sys
		s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
		s.sendall(("%s %s HTTP/1.0\r\n\r\n" % (sys.argv[3], sys.argv[2])).encode())
		answer = b"".join(iter(lambda: s.recv(65536), b""))
		head, _, body = answer.partition(b"\r\n\r\n")
		open("head", "wb").write(head)
		open("body", "wb").write(body)
		print(head.split()[1].decode())
	END
	)
	[ "$code" = 200 ]
}

@test "the numbers that a pod serves are those of ping, in a form that Prometheus reads" {
	need_python prometheus_client
	start SOURCE "$BUILD/test/common_stages" source -n 6 --out "ipc://$PWD/in"
	start RELAY "$BUILD/test/common_stages" relay --work 100s --window 4 --in "ipc://$PWD/in" --out "connect:ipc://$PWD/out" --status "ipc://$PWD/status"
	serve "ipc://$PWD/status"
	full() { fetch /metrics.txt && grep -q '^andon_queue_length{.*} 3$' body; }
	wait_until 60 full
	grep -qi 'content-type: text/plain' head
	ping --json --timeout 20s "ipc://$PWD/status" >asked.json
	"$PYTHON" - <<-'END'
		import json
		from prometheus_client.parser import text_string_to_metric_families
		asked = json.load(open("asked.json"))
		families = {f.name: f for f in text_string_to_metric_families(open("body").read())}
		samples = {s.name: s for f in families.values() for s in f.samples}
		assert all(len(f.samples) == 1 and f.documentation for f in families.values())
		queue = samples["andon_queue_length"]
		assert queue.value == asked["queued"] == 3 and families["andon_queue_length"].type == "gauge"
		assert queue.labels == {"stage": asked["stage"], "worker": asked["worker"]}
		assert samples["andon_frames_in_total"].value == asked["in"] == 4 and families["andon_frames_in"].type == "counter"
		assert 0 < samples["andon_busy_seconds"].value <= asked["busy_ms"] / 1000
		assert samples["andon_up"].value == 1 and list(samples["andon_up"].labels) == ["url"]
	END
	if command -v promtool >/dev/null; then promtool check metrics <body; fi
	kill -9 "$RELAY"
	down() { fetch /metrics.txt && grep -q '^andon_up{.*} 0$' body && ! grep -q '^andon_queue_length{' body; }
	wait_until 60 down
}

@test "who asks for other files, or asks anything, learns nothing and starts nothing" {
	echo top-secret >secret
	serve "ipc://$PWD/status"
	cp body plain
	local path
	for path in / /new /why /web /../new /../../secret /..%2f..%2fsecret /%2e%2e/%2e%2e/secret //etc/passwd /etc/passwd /../../../../../../../../etc/passwd \
		/metrics.txt/../../new /cgi-bin/ /cgi-bin/sh '/cgi-bin/../../new' /httpd.conf /proc/self/environ; do
		run ! fetch "$path"
		fetch "$path" || true
		case $code in 400 | 403 | 404) ;; *) echo "$path: $code"; false ;; esac
		run ! grep -E 'secret|root:|andon_|PATH=' head body
	done
	for path in '/metrics.txt?url=tcp://127.0.0.1:1' '/metrics.txt?$(touch%20hit)' '/metrics.txt?;touch%20hit' '/metrics.txt?`touch%20hit`'; do
		fetch "$path"
		cmp body plain
	done
	fetch /metrics.txt POST || true
	[ "$code" = 501 ]
	[ ! -e hit ]
	kill "$SERVE"
	wait "$SERVE"
	[ -z "$(find . -name 'andon-metrics*')" ]
	run ! fetch /metrics.txt
}

@test "the rule of the autoscaler finds enough workers, and gives them back" {
	"$PYTHON" "$TOP/tests/kubernetes_scale.py" "$TOP/pipelines/kubernetes/infer.yaml" "$BUILD"
}

@test "kubectl makes one stream of them, with the keys of andon keygen in a Secret" {
	command -v kubectl >/dev/null || skip "no kubectl here: kustomization.yaml is not executed"
	keygen --name andon-preprocess k/keys 2>/dev/null
	cp k/keys/peers/andon-preprocess.key k/keys/peers/andon-sink.key
	kubectl kustomize k >all.yaml
	"$PYTHON" - k/keys <<-'END'
		import base64, pathlib, sys, yaml
		objects = list(yaml.safe_load_all(open("all.yaml")))
		kinds = sorted(o["kind"] for o in objects)
		assert kinds.count("Service") == 3 and kinds.count("StatefulSet") == 2 and kinds.count("Deployment") == 2, kinds
		secret = next(o for o in objects if o["kind"] == "Secret")
		keys = pathlib.Path(sys.argv[1])
		assert base64.b64decode(secret["data"]["secret.key"]) == (keys / "secret.key").read_bytes()
		images = {c["image"] for o in objects if o["kind"] in ("Deployment", "StatefulSet") for c in o["spec"]["template"]["spec"]["containers"]}
		assert images == {"localhost/andon:0.1"}, images
	END
}
