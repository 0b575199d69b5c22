"""The Go client: null for every list and map that is empty, an empty scope always sent, answers decoded into typed structs."""

import re
from datetime import datetime, timedelta, timezone

from lib import AWAY, NODES, Client, check, typed

client = Client()
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
TASK_URL = re.compile(r"^https?://[^/]+/orchestrator/v1/tasks/[a-z0-9_]+/[a-z0-9_]+$")

started = client.post("command/deploy", {
    "environment": "production", "enforce_environment": True, "scope": {"nodes": NODES}, "noop": True, "description": "",
    "concurrency": None, "debug": False, "trace": False, "evaltrace": False, "target": None,
})
typed("started", started, {"job": {"id": re.compile(r"^https?://"), "name": re.compile(r"^\d+$")}})
job = started["job"]["name"]
over = client.wait(job)
typed("job", over, {
    "id": str, "name": str, "state": str, "command": str, "type": str, "options": dict, "owner": {"id": str, "login": str},
    "description": str, "timestamp": TIME, "started_timestamp": TIME, "finished_timestamp": TIME, "duration": float,
    "environment": {"name": str}, "node_count": int, "node_states": dict, "nodes": {"id": str}, "report": {"id": str},
    "events": {"id": str}, "userdata": dict,
    "status": [{"state": str, "enter_time": TIME, "exit_time": (str,)}],
})
check("states are counted", over["node_states"] == {"finished": len(NODES)}, over["node_states"])
nodes = client.follow(over["nodes"]["id"])
typed("nodes", nodes, {
    "next-events": {"id": str, "event": str},
    "items": [{
        "name": str, "state": str, "transport": str, "timestamp": TIME, "start_timestamp": (str,), "finish_timestamp": (str,),
        "duration": (float,), "latest-event-id": int, "details": dict, "result": (dict,), "transaction_uuid": (str,),
    }],
})
typed("report", client.follow(over["report"]["id"]), {"items": [{"node": str, "state": str, "timestamp": TIME, "events": list}]})
typed("jobs", client.get("jobs?limit=3"), {
    "items": [dict], "pagination": {"limit": int, "offset": int, "total": int, "order_by": str, "order": str, "type": str},
})

task = client.post("command/task", {
    "environment": "production", "task": "demo::greet", "params": None, "noop": False,
    "scope": {"nodes": [NODES[0]], "node_group": None, "query": None}, "targets": None,
})
client.wait(task["job"]["name"])
check("a list that is null never means everything", client.post(
    "command/deploy", {"environment": "production", "scope": {"nodes": None}}, status=400)["details"]["key"] == "scope.nodes")

tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
scheduled = client.post("command/schedule_task", {
    "environment": "production", "task": "demo::greet", "params": None, "scope": {"nodes": [NODES[0]]}, "scheduled_time": tomorrow,
})
typed("scheduled", scheduled, {"scheduled_job": {"id": str, "name": str}})
target = client.post("command/task_target", {
    "display_name": "one", "tasks": ["demo::greet"], "all_tasks": False, "nodes": None, "node_groups": None, "pql_query": "",
}, status=200)
typed("task target", target, {"task_target": {"id": str, "name": str}})
refused = client.post("command/plan_run", {"plan_name": "demo::roll", "params": None, "environment": "production"}, status=404)
typed("refused", refused, {"kind": str, "msg": str, "details": dict})
client.post("command/stop", {"job": job})

typed("inventory", client.get("inventory"), {"items": [{"name": str, "connected": bool, "broker": str, "timestamp": str}]})
typed("node", client.get(f"inventory/{AWAY}"), {"name": str, "connected": bool})
typed("some", client.post("inventory", {"nodes": NODES}, status=200), {"items": [{"name": str, "connected": bool}]})
tasks = client.get("tasks?environment=production")
typed("tasks", tasks, {"environment": {"name": str}, "items": [{"id": TASK_URL, "name": str}]})
typed("task", client.follow(tasks["items"][0]["id"]), {
    "id": TASK_URL, "name": str, "environment": {"name": str}, "metadata": dict,
    "files": [{"filename": str, "uri": {"path": str, "params": dict}, "sha256": str, "size_bytes": int}],
})
typed("plans", client.get("plans?environment=production"), {"environment": {"name": str}, "items": list})
