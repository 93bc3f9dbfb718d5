"""The manifests as pods that `podman kube play` takes: kubernetes_pods.py FOLDER VOLUMES

podman 4.3 knows neither StatefulSets and Services nor fsGroup, subPath and the paths of a Secret's items. So here volumes are folders below
VOLUMES, made as the kubelet would make them (of the group that fsGroup names; a Secret's files as links), services are names of this
machine, and everything else (containers, arguments, security contexts, probes) is what stands in the manifests.
"""
import os
import pathlib
import sys

import yaml

folder, volumes = map(pathlib.Path, sys.argv[1:])
keys = {"secret.key": folder / "keys/secret.key"}
keys.update({p.name: p for p in (folder / "keys/peers").iterdir()})


def directory(path, group):
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, 0, group)
    path.chmod(0o2775)
    return {"path": str(path), "type": "Directory"}


def secret(path, source, group):
    for item in source["items"]:
        data, link = path / "..data" / item["path"], path / item["path"]
        data.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        data.write_bytes(keys[item["key"]].read_bytes())
        os.chown(data, 0, group)
        data.chmod(source["defaultMode"])
        link.symlink_to(os.path.relpath(data, link.parent))
    return {"path": str(path), "type": "Directory"}


pods = []
volumes.mkdir()
objects = [o for f in sorted(folder.glob("*.yaml")) for o in yaml.safe_load_all(f.read_text())]
services = [o["metadata"]["name"] for o in objects if o["kind"] == "Service"]
for o in objects:
    if o["kind"] not in ("Deployment", "StatefulSet"):
        continue
    name, spec = o["metadata"]["name"], o["spec"]["template"]["spec"]
    group = spec["securityContext"]["fsGroup"]
    for claim in o["spec"].get("volumeClaimTemplates", []):
        spec["volumes"].append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": name}})
    for v in spec["volumes"]:
        if "secret" in v:
            v["hostPath"] = secret(volumes / name / "secret", v.pop("secret"), group)
        elif "emptyDir" in v:
            v.pop("emptyDir")
            v["hostPath"] = directory(volumes / name / v["name"], group)
        else:
            v["hostPath"] = directory(volumes / v.pop("persistentVolumeClaim")["claimName"], group)
    # (hostAliases are left aside in the machine's own network.)
    hosts = volumes / "hosts"
    hosts.write_text("127.0.0.1 localhost " + " ".join(services) + "\n")
    spec["volumes"].append({"name": "hosts", "hostPath": {"path": str(hosts), "type": "File"}})
    for c in spec["containers"] + spec["initContainers"]:
        for m in c["volumeMounts"]:
            if "subPath" in m:
                under = f"{m['name']}-{m['subPath']}"
                spec["volumes"].append({"name": under, "hostPath": directory(volumes / name / m["name"] / m.pop("subPath"), group)})
                m["name"] = under
        c["volumeMounts"].append({"name": "hosts", "mountPath": "/etc/hosts", "readOnly": True})
        c.update(image="localhost/andon:0.1", imagePullPolicy="Never")
        c.pop("ports", None) # it would publish them
    spec.update(restartPolicy="OnFailure", hostNetwork=True)
    # Otherwise it removes init containers, and trips over those that have not quite ended.
    metadata = {"name": name, "labels": o["metadata"]["labels"], "annotations": {"io.podman.annotations.init.container.type": "always"}}
    pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
yaml.safe_dump_all(pods, sys.stdout)
