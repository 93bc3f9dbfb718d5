# pipelines/kubernetes: the manifests against schemas of our own (tests/kubernetes_check.py), and what kubectl makes of them.
load helper

setup() {
	need_python yaml jsonschema
	cd "$BATS_TEST_TMPDIR" || return
	cp -r "$TOP/pipelines/kubernetes" k
	chmod -R u+w k
}

teardown() {
	end_started
}

check() { "$PYTHON" "$TOP/tests/kubernetes_check.py" k "$BIN"; }

@test "the manifests are what Kubernetes takes, and belong together" {
	run -0 check
	[[ $output == *"4 workloads"* ]]
}

# Each line changes one thing: file, sed expression, a word of what must be said.
@test "the check sees a misspelt field, a loose end, an option that does not exist: 27 such" {
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
		infer.yaml|s/averageValue: "8"/averageValue: eight/|eight
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
	[ "$n" -eq 27 ]
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
