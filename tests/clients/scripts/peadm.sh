# The deployment module: a status with curl -f, an inventory with token and certificate.
set -eu

status=$(curl -fsS --cacert "$BUNRAKU_CA" "$BUNRAKU_URL/status/v1/simple/orchestrator-service")
[ "$status" = running ] || { echo "the status is '$status'" >&2; exit 1; }

nodes=$(printf '%s' "$NODES" | sed 's/,/", "/g')
answer=$(curl -fsS --http1.1 --tlsv1.2 --cacert "$BUNRAKU_CA" -H "X-Authentication: $BUNRAKU_TOKEN" \
  -H 'Content-Type: application/json' -X POST -d "{\"nodes\": [\"$nodes\"]}" "$BUNRAKU_URL/orchestrator/v1/inventory")
case $answer in
  *'"connected":false'*) echo "a node is not connected: $answer" >&2; exit 1 ;;
  *'"connected":true'*) ;;
  *) echo "no inventory: $answer" >&2; exit 1 ;;
esac
