"""Are these manifests what Kubernetes takes, and do they belong together?  kubernetes_check.py FOLDER PROGRAMS

Schemas: the kinds and fields that pipelines/kubernetes uses, as the API of Kubernetes 1.27 has them; anything else is
refused, so that a misspelt field is found. Then what the API server would not say: selectors that select nothing, ports, claims,
secrets, services, volumes and images that do not exist; options that a program does not know.
"""
import pathlib
import re
import subprocess
import sys

import jsonschema
import yaml

NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
TEXT, INT, BOOL = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
QUANTITY = {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti)?$"}


def one_of(*values):
    return {"enum": list(values)}


def list_of(item, least=1):
    return {"type": "array", "items": item, "minItems": least}


def fields(required="", **known):
    return {"type": "object", "properties": known, "required": required.split(), "additionalProperties": False}


LABELS = {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "pattern": r"^[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?$"}}
METADATA = fields("name", name=NAME, labels=LABELS)
ANNOTATIONS = {"type": "object", "additionalProperties": TEXT}
SELECTOR = fields("matchLabels", matchLabels=LABELS)
TIMES = {"periodSeconds": INT, "timeoutSeconds": INT, "failureThreshold": INT}
PROBE = {"oneOf": [fields("exec", exec=fields("command", command=list_of(TEXT)), **TIMES),
                   fields("httpGet", httpGet=fields("path port", path={"type": "string", "pattern": "^/"}, port=NAME), **TIMES)]}
CONTAINER = fields(
    "name image command args resources securityContext volumeMounts",
    name=NAME, image=TEXT, command=list_of(TEXT), args=list_of(TEXT),
    env=list_of(fields("name value", name=TEXT, value=TEXT)),
    ports=list_of(fields("name containerPort", name={**NAME, "maxLength": 15}, containerPort={**INT, "minimum": 1, "maximum": 65535})),
    livenessProbe=PROBE, readinessProbe=PROBE, startupProbe=PROBE,
    resources=fields("requests limits", requests=fields("cpu memory", cpu=QUANTITY, memory=QUANTITY), limits=fields("memory", cpu=QUANTITY, memory=QUANTITY)),
    securityContext=fields(
        "allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
        allowPrivilegeEscalation=one_of(False), readOnlyRootFilesystem=one_of(True), capabilities=fields("drop", drop=one_of(["ALL"]))),
    volumeMounts=list_of(fields("name mountPath", name=NAME, mountPath={"type": "string", "pattern": "^/"}, readOnly=BOOL, subPath=NAME)))
VOLUME = {"oneOf": [
    fields("name emptyDir", name=NAME, emptyDir=fields(medium=one_of("", "Memory"), sizeLimit=QUANTITY)),
    fields("name secret", name=NAME, secret=fields(
        "secretName", secretName=NAME, optional=one_of(False), defaultMode={"type": "integer", "minimum": 0, "maximum": 0o440},
        items=list_of(fields("key path", key=TEXT, path={"type": "string", "pattern": r"^[^/].*$"})))),
    fields("name persistentVolumeClaim", name=NAME, persistentVolumeClaim=fields("claimName", claimName=NAME, readOnly=BOOL))]}
POD = fields(
    "automountServiceAccountToken terminationGracePeriodSeconds securityContext containers volumes",
    automountServiceAccountToken=one_of(False), terminationGracePeriodSeconds=INT,
    securityContext=fields(
        "runAsNonRoot runAsUser runAsGroup fsGroup seccompProfile", runAsNonRoot=one_of(True), runAsUser={**INT, "minimum": 1},
        runAsGroup={**INT, "minimum": 1}, fsGroup={**INT, "minimum": 1}, seccompProfile=fields("type", type=one_of("RuntimeDefault"))),
    initContainers=list_of(CONTAINER), containers=list_of(CONTAINER), volumes=list_of(VOLUME))
TEMPLATE = fields("metadata spec", metadata=fields("labels", labels=LABELS, annotations=ANNOTATIONS), spec=POD)
CLAIM = fields("accessModes resources", accessModes=list_of(one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany")),
               resources=fields("requests", requests=fields("storage", storage=QUANTITY)), storageClassName=NAME)


def kind(version, name, spec):
    return fields("apiVersion kind metadata spec", apiVersion=one_of(version), kind=one_of(name), metadata=METADATA, spec=spec)


KINDS = {
    "Deployment": kind("apps/v1", "Deployment", fields(
        "selector template", replicas=INT, selector=SELECTOR, template=TEMPLATE, strategy=fields("type", type=one_of("Recreate", "RollingUpdate")))),
    "StatefulSet": kind("apps/v1", "StatefulSet", fields(
        "serviceName selector template", replicas=INT, serviceName=NAME, selector=SELECTOR, template=TEMPLATE,
        volumeClaimTemplates=list_of(fields("metadata spec", metadata=fields("name", name=NAME), spec=CLAIM)))),
    "Service": kind("v1", "Service", fields(
        "selector", clusterIP=one_of("None"), publishNotReadyAddresses=BOOL, selector=LABELS,
        ports=list_of(fields("name port targetPort", name=NAME, port=INT, targetPort=NAME)))),
    "PersistentVolumeClaim": kind("v1", "PersistentVolumeClaim", CLAIM),
    "PodDisruptionBudget": kind("policy/v1", "PodDisruptionBudget", fields(
        "selector", minAvailable={"type": ["integer", "string"], "pattern": r"^\d+%$"}, selector=SELECTOR)),
    "HorizontalPodAutoscaler": kind("autoscaling/v2", "HorizontalPodAutoscaler", fields(
        "scaleTargetRef maxReplicas metrics", scaleTargetRef=fields("apiVersion kind name", apiVersion=TEXT, kind=TEXT, name=NAME),
        minReplicas=INT, maxReplicas=INT,
        metrics=list_of(fields("type external", type=one_of("External"), external=fields(
            "metric target", metric=fields("name", name=TEXT, selector=SELECTOR),
            target=fields("type averageValue", type=one_of("AverageValue"), averageValue=QUANTITY)))),
        behavior=fields(scaleDown=fields(stabilizationWindowSeconds=INT, policies=list_of(fields(
            "type value periodSeconds", type=one_of("Pods", "Percent"), value={**INT, "minimum": 1}, periodSeconds={**INT, "minimum": 1})))))),
    # Not of Kubernetes itself: of the Prometheus operator.
    "PodMonitor": kind("monitoring.coreos.com/v1", "PodMonitor", fields(
        "selector podMetricsEndpoints", selector=SELECTOR,
        podMetricsEndpoints=list_of(fields("port path", port=NAME, path=TEXT, interval=TEXT)))),
}
# The configuration of prometheus-adapter.
ADAPTER = fields("externalRules", externalRules=list_of(fields(
    "seriesQuery resources metricsQuery", seriesQuery=TEXT, metricsQuery=TEXT,
    resources=fields("overrides", overrides=fields("namespace", namespace=fields("resource", resource=one_of("namespace")))))))
KUSTOMIZATION = fields(
    "apiVersion kind resources images secretGenerator", apiVersion=one_of("kustomize.config.k8s.io/v1beta1"), kind=one_of("Kustomization"),
    resources=list_of(TEXT), images=list_of(fields("name newName newTag", name=TEXT, newName=TEXT, newTag=TEXT)),
    secretGenerator=list_of(fields("name files", name=NAME, files=list_of({"type": "string", "pattern": "^[-.a-z]+=.+$"}))),
    generatorOptions=fields(disableNameSuffixHash=BOOL))

folder, programs = map(pathlib.Path, sys.argv[1:])
wrong = []


def check(good, what):
    if not good:
        wrong.append(what)


def conform(document, schema, where):
    for error in jsonschema.Draft7Validator(schema).iter_errors(document):
        wrong.append(f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}")


kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
conform(kustomization, KUSTOMIZATION, "kustomization.yaml")
check(sorted(kustomization["resources"]) == sorted(f.name for f in folder.glob("*.yaml") if f.name != "kustomization.yaml"),
      "kustomization.yaml: resources are not the files that are there")
objects = []
for name in kustomization["resources"]:
    if (folder / name).exists():
        objects += [(name, o) for o in yaml.safe_load_all((folder / name).read_text()) if o]
objects += [("metrics/podmonitor.yaml", yaml.safe_load((folder / "metrics/podmonitor.yaml").read_text()))]
adapter = yaml.safe_load((folder / "metrics/adapter.yaml").read_text())
conform(adapter, ADAPTER, "metrics/adapter.yaml")
for file, o in objects:
    where = f"{file}: {o.get('kind')} {o.get('metadata', {}).get('name')}"
    if o.get("kind") in KINDS:
        conform(o, KINDS[o["kind"]], where)
    else:
        wrong.append(f"{where}: this kind is not known")
if wrong: # what follows reads the fields
    sys.exit("\n".join(wrong))


def named(*kinds):
    return {o["metadata"]["name"]: o["spec"] for _, o in objects if o["kind"] in kinds}


def selected(labels):
    return [n for n, w in workloads.items() if labels.items() <= w["template"]["metadata"]["labels"].items()]


workloads, services, claims = named("Deployment", "StatefulSet"), named("Service"), named("PersistentVolumeClaim")
secrets = {s["name"]: {f.split("=")[0] for f in s["files"]} for s in kustomization["secretGenerator"]}
images = {i["name"] for i in kustomization["images"]}
check(len({(o["kind"], o["metadata"]["name"]) for _, o in objects}) == len(objects), "two objects of one kind have one name")
help_of = {}


def known(program, option):
    if program not in help_of:
        path = programs / pathlib.Path(program).name
        help_of[program] = subprocess.run([path, "--help"], capture_output=True, text=True).stdout if path.exists() else ""
    return re.search(rf"(^|\s){re.escape(option)}(\s|$)", help_of[program], re.M)


def in_image(path):
    here = pathlib.Path(__file__).parent.parent / "pipelines" / path.name
    return path.parent.name == "andon" and (programs if path.parent.parent.name == "lib" else here.parent).joinpath(path.name).exists()


def command(where, words):
    check(in_image(pathlib.Path(words[0])) or words[0] == "/bin/sh", f"{where}: {words[0]} is not in the image")
    for word in words[1:] if words[0].startswith("/usr/lib") else []:
        option = word.split("=")[0]
        check(not option.startswith("--") or known(words[0], option), f"{where}: {words[0]} does not know {option}")


for name, w in workloads.items():
    pod = w["template"]["spec"]
    check(w["selector"]["matchLabels"].items() <= w["template"]["metadata"]["labels"].items(), f"{name}: its selector is not its labels")
    check(selected(w["selector"]["matchLabels"]) == [name], f"{name}: its selector takes pods of others")
    check("serviceName" not in w or w["serviceName"] in services, f"{name}: no Service {w.get('serviceName')}")
    volumes = {v["name"]: v for v in pod["volumes"]}
    volumes.update({c["metadata"]["name"]: c for c in w.get("volumeClaimTemplates", [])})
    mounted, keys = set(), set()
    for v in pod["volumes"]:
        claim = v.get("persistentVolumeClaim", {}).get("claimName")
        check(claim is None or claim in claims, f"{name}: no claim {claim}")
        if "secret" in v:
            check(v["secret"]["secretName"] in secrets, f"{name}: no Secret {v['secret']['secretName']}")
            keys |= {i["path"] for i in v["secret"].get("items", [])}
            for item in v["secret"].get("items", []):
                check(item["key"] in secrets.get(v["secret"]["secretName"], ()), f"{name}: the Secret has no {item['key']}")
    for c in pod["containers"] + pod.get("initContainers", []):
        where = f"{name}: {c['name']}"
        check(c["image"] in images, f"{where}: no image {c['image']} in kustomization.yaml")
        for m in c["volumeMounts"]:
            check(m["name"] in volumes, f"{where}: no volume {m['name']}")
            mounted.add(m["name"])
        paths = [m["mountPath"] for m in c["volumeMounts"]]
        command(where, c["command"] + c["args"])
        stage, ports = c["command"][0].startswith("/usr/lib"), {p["name"]: p["containerPort"] for p in c.get("ports", [])}
        if c["command"][0].endswith("/serve-metrics.sh"):
            check(c["args"][0] in map(str, ports.values()), f"{where}: port {c['args'][0]} is not among its ports")
            check(any(f"--status={c['args'][1]}" in other["args"] for other in pod["containers"]), f"{where}: nobody is at {c['args'][1]}")
            seen = w["template"]["metadata"].get("annotations", {})
            check(seen.get("prometheus.io/port") == c["args"][0] and seen.get("prometheus.io/path") == "/metrics.txt",
                  f"{where}: is not where the annotations say")
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            check(c not in pod["containers"] or probe in c or not stage and probe != "livenessProbe", f"{where}: no {probe}")
            if "httpGet" in c.get(probe, {}):
                check(c[probe]["httpGet"]["port"] in ports and c[probe]["httpGet"]["path"] == "/metrics.txt", f"{where}: nobody answers the {probe}")
            elif probe in c:
                command(where, c[probe]["exec"]["command"])
                check(f"--status={c[probe]['exec']['command'][-1]}" in c["args"], f"{where}: nobody answers the {probe}")
        for word in c["args"]:
            at = re.search(r"tcp://([a-z][-a-z0-9]*):(\d+)", word)
            if at:
                there = services.get(at[1], {"ports": []})
                check(int(at[2]) in [p["port"] for p in there["ports"]], f"{where}: no Service {at[1]} with port {at[2]}")
                check(f"peers/{at[1]}.key" in keys, f"{where}: no key to know {at[1]} by")
            bound = re.search(r"bind:tcp://0\.0\.0\.0:(\d+)", word)
            check(not bound or int(bound[1]) in [p["containerPort"] for p in c.get("ports", [])], f"{where}: {word} is not among its ports")
            path = re.search(r"^(?:--[-a-z]+=)?(?:ipc://)?(/[^/ ][^ ]*)$", word)
            check(not path or any(path[1].startswith(p + "/") for p in paths), f"{where}: {word} is on no volume")
        runtime = {e["name"]: e["value"] for e in c.get("env", [])}.get("XDG_RUNTIME_DIR")
        check(c not in pod["containers"] or not stage or runtime in paths, f"{where}: no XDG_RUNTIME_DIR on a volume, and sockets cannot be made")
        check("secret.key" in keys or "--keys=/run/andon/keys" not in c["args"], f"{where}: no secret.key")
        drain = re.search(r"--drain-timeout.*?\[(\d+)s\]", help_of.get(c["command"][0], ""), re.S)
        check(not drain or pod["terminationGracePeriodSeconds"] > int(drain[1]), f"{where}: is killed while it drains")
    check(mounted == set(volumes), f"{name}: volumes that nobody mounts: {set(volumes) - mounted}")
for name, s in services.items():
    check(len(selected(s["selector"])) == 1, f"Service {name}: selects {selected(s['selector'])}")
    there = {p["name"]: p["containerPort"] for w in selected(s["selector"]) for c in workloads[w]["template"]["spec"]["containers"] for p in c.get("ports", [])}
    for port in s.get("ports", []):
        check(there.get(port["targetPort"]) == port["port"], f"Service {name}: no port {port['targetPort']} {port['port']} there")
for name, b in named("PodDisruptionBudget").items():
    check(len(selected(b["selector"]["matchLabels"])) == 1, f"PodDisruptionBudget {name}: selects nothing")
exposition = subprocess.run([programs / "ping", "--prometheus", "ipc:///nowhere"], capture_output=True, text=True).stdout
for name, a in named("HorizontalPodAutoscaler").items():
    target = a["scaleTargetRef"]["name"]
    check(target in named(a["scaleTargetRef"]["kind"]), f"HorizontalPodAutoscaler {name}: no {target}")
    check("replicas" not in workloads.get(target, {}), f"HorizontalPodAutoscaler {name}: {target} says its replicas itself")
    check(a.get("minReplicas", 1) <= a["maxReplicas"], f"HorizontalPodAutoscaler {name}: the least is above the most")
    for m in a["metrics"]:
        metric = m["external"]["metric"]
        check(f"# HELP {metric['name']} " in exposition, f"HorizontalPodAutoscaler {name}: andon ping --prometheus has no {metric['name']}")
        check(any(r["seriesQuery"].startswith(metric["name"] + "{") for r in adapter["externalRules"]),
              f"HorizontalPodAutoscaler {name}: metrics/adapter.yaml has no {metric['name']}")
        served = [c["name"] for c in workloads[target]["template"]["spec"]["containers"]] if target in workloads else []
        check("metrics" in served and metric["selector"]["matchLabels"]["stage"] in served,
              f"HorizontalPodAutoscaler {name}: no pod of {target} says {metric}")
for name, m in named("PodMonitor").items():
    for there in selected(m["selector"]["matchLabels"]) or [None]:
        ports = [p["name"] for c in workloads[there]["template"]["spec"]["containers"] for p in c.get("ports", [])] if there else []
        check(all(e["port"] in ports and e["path"] == "/metrics.txt" for e in m["podMetricsEndpoints"]), f"PodMonitor {name}: no such port at {there}")
print("\n".join(wrong) or f"{len(objects)} objects, {len(workloads)} workloads")
sys.exit(bool(wrong))
