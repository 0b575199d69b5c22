# Scripts that people write: curl without a content type, the word in the answer, polling by state.
set -eu

api() {
  curl -sS --cacert "$BUNRAKU_CA" -H "X-Authentication: $BUNRAKU_TOKEN" "$@"
}
field() {
  python3 -c 'import json, sys; print(eval("v" + sys.argv[1], {"v": json.load(sys.stdin)}))' "$1"
}
fail() {
  echo "$*" >&2
  exit 1
}

node=${NODES%%,*}
body="{\"task\": \"demo::greet\", \"environment\": \"production\", \"params\": {}, \"scope\": {\"nodes\": [\"$node\"]}}"
code=$(api -o answer.json -w '%{http_code}' -d "$body" "$BUNRAKU_URL/orchestrator/v1/command/task")
[ "$code" = 202 ] || fail "a task is accepted with 202, not $code"
job=$(field "['job']['name']" < answer.json)
state=running
while [ "$state" != finished ]; do
  state=$(api "$BUNRAKU_URL/orchestrator/v1/jobs/$job" | field "['state']")
  [ "$state" != failed ] || fail "job $job failed"
  sleep 0.2
done
output=$(api "$BUNRAKU_URL/orchestrator/v1/jobs/$job/nodes" | field "['items'][0]['result']")
[ -n "$output" ] || fail "the task has no output"

# A plan that is watched by its events: two of them, and the second one is the end.
plan=$(api -d '{"plan_name": "demo::roll", "params": {}}' "$BUNRAKU_URL/orchestrator/v1/command/plan_start" | field "['name']")
api -o /dev/null -d "{\"plan_job\": \"$plan\", \"task\": \"demo::greet\", \"params\": {}, \"scope\": {\"nodes\": [\"$node\"]}}" \
  "$BUNRAKU_URL/orchestrator/v1/command/plan_task"
api -o /dev/null -d "{\"plan_job\": \"$plan\", \"status\": \"success\", \"result\": \"\"}" "$BUNRAKU_URL/orchestrator/v1/command/plan_finish"
events=$(api "$BUNRAKU_URL/orchestrator/v1/plan_jobs/$plan/events")
[ "$(printf '%s' "$events" | field "['items'].__len__()")" = 2 ] || fail "two events, not $events"
[ "$(printf '%s' "$events" | field "['items'][1]['type']")" = plan_finished ] || fail "the second one is the end, not $events"

# Redirects are nobody's business, and a token in the query works for looking.
code=$(curl -sS -o /dev/null -w '%{http_code} %{num_redirects}' --cacert "$BUNRAKU_CA" "$BUNRAKU_URL/orchestrator/v1/jobs/?token=$BUNRAKU_TOKEN")
[ "$code" = '200 0' ] || fail "a slash at the end is no redirect: $code"
