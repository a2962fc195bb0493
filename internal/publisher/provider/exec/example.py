#!/usr/bin/env python3
"""A publisher for Postseal that keeps zones in JSON files: DIR/example.com.json is {"name": [{"type": …, "value": …, "ttl": …}]}."""
import fcntl, json, os, sys

DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zones")

def refuse(code, message):
    print(json.dumps({"error": {"code": code, "message": message}}))
    sys.exit(0)

request = json.load(sys.stdin)
if request["version"] != 1:
    refuse("invalid", "only version 1 is spoken here")
path = os.path.join(DIR, os.path.basename(request["zone"]) + ".json")
if not os.path.exists(path):
    refuse("not_found", "there is no zone " + request["zone"])

with open(path, "r+") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    zone = json.load(file)
    if request["operation"] == "get":
        print(json.dumps({"records": zone.get(request["name"], [])}))
    elif request["operation"] == "set":
        records = zone.get(request["name"], [])
        same = [r["value"] for r in records if r["type"] == request["type"]]
        want = request.get("want", [])
        if sorted(same) not in (sorted(request.get("have", [])), sorted(want)):
            refuse("conflict", "something else stands at " + request["name"])
        rest = [r for r in records if r["type"] != request["type"]]
        if want and any(r["type"] == "CNAME" or request["type"] == "CNAME" for r in rest):
            refuse("conflict", "a CNAME excludes other records at " + request["name"])
        zone[request["name"]] = rest + [{"type": request["type"], "value": v, "ttl": request["ttl"]} for v in want]
        file.seek(0)
        json.dump(zone, file)
        file.truncate()
        print("{}")
    else:
        print("{}")
