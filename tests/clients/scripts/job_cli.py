"""The command line of Puppet Enterprise: polls events from where it was, prints their messages, stops the job on Ctrl-C."""

import time

from lib import NODES, Client, check

client = Client()

started = client.post("command/deploy", {"environment": "production", "scope": {"application": "Shop"}, "noop": True})
job = started["job"]["name"]
start, seen = None, []
for _ in range(600):
    page = client.get(f"jobs/{job}/events" + (f"?start={start}" if start else ""))
    seen += page["items"]
    start = page["next-events"]["event"]
    if seen and seen[-1]["type"] in ("job_finished", "job_aborted"):
        break
    time.sleep(0.1)
ids = [int(event["id"]) for event in seen]
check("each event once, in order", ids == sorted(set(ids)), ids)
check("messages for people", all(isinstance(event["message"], str) and event["message"] for event in seen), seen)
running = [event["details"]["node"] for event in seen if event["type"] == "node_running"]
finished = [event["details"]["node"] for event in seen if event["type"] == "node_finished"]
check("each node starts and finishes", sorted(running) == sorted(finished) == sorted(set(running)), seen)

# Ctrl-C in the middle.
slow = client.post("command/task", {"task": "probe::slow", "params": {}, "scope": {"nodes": NODES}, "concurrency": 1})
job = slow["job"]["name"]
while client.get(f"jobs/{job}")["node_states"].get("running") != 1:
    time.sleep(0.05)
stopped = client.post("command/stop", {"job": job})
counts = stopped["job"]["nodes"]
check("who runs, runs on", counts["running"] <= 1, stopped)
check("the others are skipped", counts["skipped"] >= 1, stopped)
check("nobody waits any more", counts["running"] + counts["skipped"] + counts["finished"] == len(NODES), stopped)
over = client.wait(job)
check("stopped, and what ran has finished", over["state"] == "stopped" and over["node_states"]["finished"] >= 1, over)
check("a list of fifty", len(client.get("jobs?limit=50")["items"]) >= 2)
