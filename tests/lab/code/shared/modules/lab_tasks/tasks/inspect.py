#!/usr/bin/env python3
import json
import os
import sys

given = json.load(sys.stdin)
print(json.dumps({"given": given, "noop": bool(given.get("_noop")), "installdir": given.get("_installdir"), "pid": os.getpid()}))
