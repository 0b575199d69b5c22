#!/bin/sh
if [ "${PT_plain:-false}" = true ]; then echo partial output; echo a reason >&2; exit "${PT_code:-3}"; fi
printf '{"_error": {"kind": "lab/failed", "msg": "asked to fail", "details": {"exit_code": %s}}}\n' "${PT_code:-3}"
exit "${PT_code:-3}"
