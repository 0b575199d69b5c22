#!/bin/sh
# A task of the browser tests: waits while the file is there, then greets or fails.
set -eu
while [ -n "${PT_wait_for:-}" ] && [ -e "$PT_wait_for" ]; do sleep 0.05; done
if [ "${PT_mode:-}" = fail ]; then
  echo '{"_error": {"kind": "site/refused", "msg": "no greeting today", "details": {"reason": "asked to fail"}}}'
  exit 3
fi
echo "${PT_greeting:-Hello} from the task"
