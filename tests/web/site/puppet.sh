#!/bin/sh
# Stands in for `puppet apply` on the nodes of the browser tests, and does what files in the node's directory say:
# `hold`: the run waits until the file is gone; `failing`: it fails.
set -eu

vardir=
environment=production
while [ $# -gt 0 ]; do
  case $1 in
    --vardir) vardir=$2; shift ;;
    --environment) environment=$2; shift ;;
  esac
  shift
done
node=${vardir%/*}
while [ -e "$node/hold" ]; do sleep 0.05; done

now=$(date -u +%Y-%m-%dT%H:%M:%S.000000000+00:00)
status=changed outcome=success failed=0 code=2
if [ -e "$node/failing" ]; then status=failed outcome=failure failed=1 code=6; fi

cat > "$BUNRAKU_LASTRUNREPORT.new" <<REPORT
--- !ruby/object:Puppet::Transaction::Report
host: '${node##*/}'
time: '$now'
configuration_version: $(date -u +%s)
transaction_uuid: '$(cat /proc/sys/kernel/random/uuid)'
report_format: 12
status: $status
transaction_completed: true
noop: false
noop_pending: false
environment: $environment
corrective_change: false
metrics:
  resources:
    name: resources
    label: Resources
    values:
    - [total, Total, 2]
    - [changed, Changed, $((1 - failed))]
    - [out_of_sync, Out of sync, 1]
    - [failed, Failed, $failed]
    - [skipped, Skipped, 0]
resource_statuses:
  File[/etc/motd]:
    title: /etc/motd
    resource_type: File
    failed: $([ "$failed" = 1 ] && echo true || echo false)
    events:
    - property: content
      previous_value: '{sha256}old'
      desired_value: '{sha256}new'
      message: content of the message of the day
      status: $outcome
      time: '$now'
REPORT
mv "$BUNRAKU_LASTRUNREPORT.new" "$BUNRAKU_LASTRUNREPORT"
exit "$code"
