"""The Jenkins plugin: links followed as they stand, the older target, metrics of every node, the report under its old key."""

from lib import AWAY, NODES, Client, check

client = Client()

connected = client.post("inventory", {"nodes": NODES + [AWAY]}, status=200)["items"]
check("who is connected", [node["connected"] for node in connected] == [True] * len(NODES) + [False], connected)

started = client.post("command/deploy", {"environment": "production", "target": "Shop[demo]", "noop": True, "scope": {}})
over = client.wait(started["job"]["name"])
check("the job", over["node_count"] >= 1 and over["environment"]["name"] == "production", over)
for node in client.follow(over["nodes"]["id"])["items"]:
    details = node["details"]
    check("a finished node", node["state"] == "finished", node)
    for key in ("failed", "changed", "skipped"):
        check(f"metrics.{key}", isinstance(details["metrics"][key], int), details)
    check("a report to look at", details["report-url"].startswith("https://"), details)
    check("a message", isinstance(details["message"], str) and isinstance(details["environment"], str), details)
report = client.follow(over["report"]["id"])
check("the report under its old key", report["report"] == report["items"], report)
check("events are a list", all(isinstance(item["events"], list) for item in report["report"]), report)

away = client.post("command/deploy", {"environment": "production", "scope": {"nodes": [AWAY]}})
failed = client.wait(away["job"]["name"])
node = client.follow(failed["nodes"]["id"])["items"][0]
check("a job that failed", failed["state"] == "failed" and node["state"] == "errored" and node["details"]["message"], node)

for body, status in (({"environment": "nowhere"}, 404), ({"environment": "production", "scope": {"nodes": []}}, 400)):
    error = client.post("command/deploy", body, status=status)
    check("an error", set(error) == {"kind", "msg", "details"}, error)
