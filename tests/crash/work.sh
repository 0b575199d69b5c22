#!/bin/sh
# What every run of the crash test executes: as task, as stand-in for `puppet apply`, and as a Puppet run of the
# scripted pxp-agent. It writes down, outside of any agent's spool, when it began and how it ended.
#
# How long it takes and whether it fails follows from its transaction id and the job's parameters, so that the checker
# knows both without asking anybody.
set -u

# Standard output is a file of the run's directory, SITE/nodes/NODE/SPOOL/TRANSACTION, whatever started us.
out=$(readlink "/proc/$$/fd/1")
dir=${out%/*}
run=${dir##*/}
site=${dir%%/nodes/*}
node=${dir#*/nodes/}
node=${node%%/*}

as=task
tag=${PT_tag-}
base=${PT_base-0}
if [ -z "$tag" ]; then
  as=${1-apply}
  while [ $# -gt 0 ]; do
    if [ "$1" = --tags ]; then
      # t<tag>,b<milliseconds>
      base=${2#*,b}
      tag=${2%%,*}
      tag=${tag#t}
    fi
    shift
  done
fi
kind=deploy
[ "$as" != task ] || kind=task

head=${run%"${run#????}"}
total=$((base + 0x$head % 600))
code=0
case $run in *f) code=1 ;; esac

say() {
  printf '%s %s %s %s %s %s\n' "$1" "$run" "$node" "$kind" "$tag" "$(date +%s%N)" >> "$site/runs.log"
}

begun= child=
ended() {
  [ -z "$child" ] || kill "$child" 2> /dev/null
  [ -z "$begun" ] || say killed
  exit 143
}
trap ended TERM

nap() {
  sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))" &
  child=$!
  wait "$child"
  child=
}

say begin
begun=1
nap $((total * 2 / 5))
if [ "$as" = apply ]; then
  say catalog
  echo "Info: Applying configuration version '1'"
fi
nap $((total * 3 / 5))

status=changed
[ "$code" = 0 ] || status=failed
if [ "$as" = apply ]; then
  report=$BUNRAKU_LASTRUNREPORT
  {
    echo "--- !ruby/object:Puppet::Transaction::Report"
    echo "host: '$node'"
    echo "time: '$(date -u +%Y-%m-%dT%H:%M:%S.%N+00:00)'"
    echo "configuration_version: 1"
    echo "transaction_uuid: '$run'"
    echo "report_format: 12"
    echo "status: $status"
    echo "transaction_completed: true"
    echo "environment: production"
    echo "metrics: {}"
    echo "resource_statuses: {}"
  } > "$report.new"
  mv "$report.new" "$report"
fi

# The last that happens: what this says is over is over.
trap '' TERM
say "end$code"
case $as in
  task) echo "{\"tag\":\"$tag\",\"run\":\"$run\",\"node\":\"$node\"}" ;;
  pxp)
    error=
    [ "$code" = 0 ] || error=',"error_type":"agent_exit_non_zero","error":"Puppet agent exited with a non 0 exitcode"'
    echo "{\"time\":\"$(date -u +%Y-%m-%dT%H:%M:%S.%N+00:00)\",\"transaction_uuid\":\"$run\",\"environment\":\"production\",\"status\":\"$status\",\"metrics\":{\"total\":1},\"exitcode\":$code,\"version\":1$error}"
    ;;
  apply)
    # --detailed-exitcodes: 2 says that there were changes, 4 that there were failures.
    [ "$code" = 0 ] && exit 2 || exit 4
    ;;
esac
exit "$code"
