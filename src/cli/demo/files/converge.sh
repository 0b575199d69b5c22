#!/bin/sh
# Stands in for `puppet apply` on demo nodes of machines without Puppet. It takes the same arguments, makes the node's
# directory `actual` look like its directory `desired`, and writes the report that the agent asks for.
set -eu

environment=production
noop=false
vardir=
while [ $# -gt 0 ]; do
  case $1 in
    --environment) environment=$2; shift ;;
    --vardir) vardir=$2; shift ;;
    --noop) noop=true ;;
    --no-noop) noop=false ;;
  esac
  shift
done

node_dir=${vardir%/*}
now=$(date -u +%Y-%m-%dT%H:%M:%S.000000000+00:00)
version=$(date -u +%s)
echo "Info: Applying configuration version '$version'"

sleep "$(cat "$node_dir/pace")"

total=0
differing=0
statuses=$(mktemp)
trap 'rm -f "$statuses"' EXIT
mkdir -p "$node_dir/actual"
for desired in "$node_dir"/desired/*; do
  name=${desired##*/}
  file=$node_dir/actual/$name
  total=$((total + 1))
  cmp -s "$desired" "$file" && continue
  differing=$((differing + 1))
  if [ "$noop" = false ]; then
    cp "$desired" "$file"
    echo "Notice: File[$file] is as desired now"
  else
    echo "Notice: File[$file] would change (noop)"
  fi
  {
    echo "  File[$file]:"
    echo "    title: \"$file\""
    echo "    resource_type: File"
    echo "    events:"
    echo "    - property: content"
    echo "      message: is as desired now"
    echo "      status: $([ "$noop" = false ] && echo success || echo noop)"
    echo "      time: '$now'"
  } >> "$statuses"
done

changed=$differing
status=unchanged
if [ "$noop" = true ]; then changed=0; elif [ "$differing" -gt 0 ]; then status=changed; fi

report=$BUNRAKU_LASTRUNREPORT
{
  echo "--- !ruby/object:Puppet::Transaction::Report"
  echo "host: '${node_dir##*/}'"
  echo "time: '$now'"
  echo "configuration_version: $version"
  echo "transaction_uuid: '$(cat /proc/sys/kernel/random/uuid)'"
  echo "report_format: 12"
  echo "status: $status"
  echo "transaction_completed: true"
  echo "noop: $noop"
  echo "noop_pending: $([ "$noop" = true ] && [ "$differing" -gt 0 ] && echo true || echo false)"
  echo "environment: $environment"
  echo "corrective_change: false"
  echo "metrics:"
  echo "  resources:"
  echo "    name: resources"
  echo "    label: Resources"
  echo "    values:"
  echo "    - [total, Total, $total]"
  echo "    - [changed, Changed, $changed]"
  echo "    - [out_of_sync, Out of sync, $differing]"
  echo "    - [failed, Failed, 0]"
  echo "    - [skipped, Skipped, 0]"
  if [ -s "$statuses" ]; then
    echo "resource_statuses:"
    cat "$statuses"
  else
    echo "resource_statuses: {}"
  fi
} > "$report.new"
mv "$report.new" "$report"

# --detailed-exitcodes: 2 says that there were changes.
if [ "$changed" -gt 0 ]; then exit 2; fi
