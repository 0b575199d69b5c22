"""What the Python scripts share: one kept connection over TLS, JSON in and out, checks that say what was there instead."""

import http.client
import json
import os
import re
import ssl
import sys
import time
from urllib.parse import urlsplit

TOKEN = os.environ["BUNRAKU_TOKEN"]
NODES = os.environ["NODES"].split(",")
AWAY = os.environ["AWAY"]
BASE = urlsplit(os.environ["BUNRAKU_URL"])


def check(what, holds, seen=None):
    if not holds:
        sys.exit(f"{what}: {seen!r}")


class Client:
    def __init__(self):
        context = ssl.create_default_context(cafile=os.environ["BUNRAKU_CA"])
        self.connection = http.client.HTTPSConnection(BASE.hostname, BASE.port, context=context, timeout=60)

    def ask(self, method, path, body=None, status=200, content_type="application/json"):
        headers = {"X-Authentication": TOKEN}
        if body is not None and content_type:
            headers["Content-Type"] = content_type
        target = path if path.startswith("/") else f"/orchestrator/v1/{path}"
        self.connection.request(method, target, body if body is None else json.dumps(body), headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        check(f"{method} {target}", response.status == status, (response.status, text))
        check("the content type", response.headers["Content-Type"] == "application/json; charset=utf-8", dict(response.headers))
        return json.loads(text)

    def get(self, path, status=200):
        return self.ask("GET", path, status=status)

    def post(self, path, body, status=202, **options):
        return self.ask("POST", path, body, status, **options)

    def follow(self, url):
        target = urlsplit(url)
        check("links lead to the host that was asked", target.netloc == BASE.netloc, url)
        return self.get(target.path + (f"?{target.query}" if target.query else ""))

    def wait(self, job):
        for _ in range(600):
            found = self.get(f"jobs/{job}")
            if found["state"] in ("stopped", "finished", "failed"):
                return found
            time.sleep(0.1)
        sys.exit(f"job {job} does not end")


def typed(what, value, shape):
    """Checks types as a language without dynamic ones decodes them. A shape: a type, None for 'may be null', a list, a dict."""
    if isinstance(shape, tuple):
        if value is None:
            return
        shape = shape[0]
    if isinstance(shape, dict):
        check(what, isinstance(value, dict), value)
        for key, inner in shape.items():
            check(f"{what}.{key} is there", key in value, value)
            typed(f"{what}.{key}", value[key], inner)
    elif isinstance(shape, list):
        check(what, isinstance(value, list), value)
        for index, item in enumerate(value):
            typed(f"{what}[{index}]", item, shape[0])
    elif isinstance(shape, re.Pattern):
        check(what, isinstance(value, str) and shape.search(value), value)
    elif shape is float:
        check(what, isinstance(value, (int, float)) and not isinstance(value, bool), value)
    elif shape is int:
        check(what, isinstance(value, int) and not isinstance(value, bool), value)
    else:
        check(what, isinstance(value, shape), value)
