"""A PowerShell module: bodies with the content type of forms, states by name, the older report."""

from lib import NODES, Client, check

client = Client()
FORM = "application/x-www-form-urlencoded"

started = client.post(
    "command/task",
    {"environment": "production", "task": "demo::greet", "params": {}, "scope": {"nodes": NODES}},
    content_type=FORM,
)
over = client.wait(started["job"]["name"])
check("the states", over["node_states"] == {"finished": len(NODES)}, over)
job = started["job"]["name"]
check("the report", len(client.get(f"jobs/{job}/report")["report"]) == len(NODES))
check("the nodes", len(client.get(f"jobs/{job}/nodes")["items"]) == len(NODES))
check("a node", client.get(f"inventory/{NODES[0]}")["connected"] is True)
untyped = client.post("command/stop", {"job": job}, content_type=None)
check("no content type at all", untyped["job"]["name"] == job, untyped)

# It tries a module's task by two wrong paths before the right one.
check("the first path", client.get("tasks//demo", status=404)["kind"].startswith("puppetlabs."))
check("the second path", client.get("tasks/demo/nothing", status=404)["kind"] == "puppetlabs.orchestrator/unknown-task")
check("the third", client.get("tasks/probe/init")["name"] == "probe")
