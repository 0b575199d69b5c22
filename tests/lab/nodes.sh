# Certificates, node directories, helpers and the env file: sourced by up, uses its settings.

node_names() { local i; for i in $(seq 1 "$NODES"); do echo "node$i.$DOMAIN"; done; }

# issue CERTNAME SSLDIR [EXTENSION-LINES]: the key and the request are made here; the CA signs by its own rule, over its
# own HTTP API. The result lies as an agent wants it.
issue() {
  local cn=$1 dir=$2 extensions=${3:-} code
  [ ! -s "$dir/certs/$cn.pem" ] || return 0
  mkdir -p "$dir"/{private_keys,certs,public_keys,certificate_requests}
  chmod 750 "$dir/private_keys"
  if [ ! -s "$dir/private_keys/$cn.pem" ]; then
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$dir/private_keys/$cn.pem" 2>/dev/null \
      || openssl genrsa -out "$dir/private_keys/$cn.pem" 2048 2>/dev/null
    chmod 640 "$dir/private_keys/$cn.pem"
  fi
  {
    printf '[req]\nprompt=no\nutf8=yes\ndistinguished_name=dn\n'
    [ -z "$extensions" ] || printf 'req_extensions=extensions\n'
    printf '[dn]\nCN=%s\n' "$cn"
    [ -z "$extensions" ] || printf '[extensions]\n%b\n' "$extensions"
  } > "$LAB/run/request.cnf"
  openssl req -new -sha256 -key "$dir/private_keys/$cn.pem" -config "$LAB/run/request.cnf" -out "$LAB/run/request.pem"
  code=$(ca_curl -o "$LAB/run/answer" -w '%{http_code}' -X PUT -H 'Content-Type: text/plain' \
    --data-binary "@$LAB/run/request.pem" "$BASE/puppet-ca/v1/certificate_request/$cn")
  [ "$code" = 200 ] || { [ "$code" = 400 ] && grep -q 'already has' "$LAB/run/answer"; } \
    || die "request for $cn: HTTP $code $(cat "$LAB/run/answer")"
  ca_curl -f --retry 5 --retry-all-errors -o "$dir/certs/$cn.pem.new" "$BASE/puppet-ca/v1/certificate/$cn" \
    || die "$cn was not signed"
  cp "$SERVER/ssl/certs/ca.pem" "$dir/certs/ca.pem"
  ca_curl -f -o "$dir/crl.pem" "$BASE/puppet-ca/v1/certificate_revocation_list/ca"
  mv "$dir/certs/$cn.pem.new" "$dir/certs/$cn.pem"
}

ca_curl() { curl -sS --cacert "$SERVER/ssl/certs/ca.pem" "$@"; }

make_nodes() {
  local role number=0
  issue "$ORCH" "$LAB/orchestrator/ssl" "subjectAltName=DNS:$ORCH,DNS:localhost,IP:127.0.0.1"
  ln -sfn "ssl/certs/$ORCH.pem" "$LAB/orchestrator/cert.pem"
  ln -sfn "ssl/private_keys/$ORCH.pem" "$LAB/orchestrator/key.pem"
  ln -sfn ssl/certs/ca.pem "$LAB/orchestrator/ca.pem"
  ln -sfn ssl/crl.pem "$LAB/orchestrator/crl.pem"
  for CERTNAME in $(node_names); do
    number=$((number + 1))
    mkdir -p "$LAB/agents/$CERTNAME"/{var,log,run,root}
    # pp_role, as a trusted extension to group nodes by
    role=worker
    [ $((number % 2)) = 1 ] || role=web
    issue "$CERTNAME" "$LAB/agents/$CERTNAME/ssl" "1.3.6.1.4.1.34380.1.1.13=ASN1:UTF8String:$role"
    render_tree "$TEMPLATES/agent" "$LAB/agents/$CERTNAME"
  done
}

write_tools() {
  put "$LAB/bin/agent" <<SH
#!/bin/sh
# agent CERTNAME [ARG...]: puppet agent --test as that node, with a clean environment.
cn=\$1; shift
exec env -u SSL_CERT_FILE -u SSL_CERT_DIR -u RUBYOPT -u RUBYLIB -u GEM_HOME -u GEM_PATH -u BUNDLE_GEMFILE \\
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \\
  /usr/bin/puppet agent --test --color=false --confdir "$LAB/agents/\$cn" "\$@"
SH
  put "$LAB/bin/pcurl" <<SH
#!/bin/sh
# pcurl PATH [CURL-ARG...]: a request to puppetserver as the orchestrator (CERTNAME=node1.$DOMAIN to be a node).
path=\$1; shift
if [ -n "\${CERTNAME:-}" ]; then d=$LAB/agents/\$CERTNAME/ssl; c=\$d/certs/\$CERTNAME.pem; k=\$d/private_keys/\$CERTNAME.pem
else c=$LAB/orchestrator/cert.pem; k=$LAB/orchestrator/key.pem; fi
exec env -u SSL_CERT_FILE -u CURL_CA_BUNDLE curl -sS --cacert $LAB/orchestrator/ca.pem --cert "\$c" --key "\$k" "\$@" "$BASE\$path"
SH
  put "$LAB/bin/mode" <<SH
#!/bin/sh
# mode CERTNAME ok|change|fail|mixed|compile_error|"slow SECONDS": how that node's next runs end.
printf '%s\\n' "\$2" > "$LAB/modes/\$1"
SH
  chmod 755 "$LAB/bin/agent" "$LAB/bin/pcurl" "$LAB/bin/mode"
}

write_env() {
  {
    echo "export PUPPET_LAB_DIR=$LAB"
    echo "export PUPPET_LAB_URL=$BASE"
    echo "export PUPPET_LAB_PORT=$PORT"
    echo "export PUPPET_LAB_SERVER_CERTNAME=$SERVER_NAME"
    echo "export PUPPET_LAB_CA=$LAB/orchestrator/ca.pem"
    echo "export PUPPET_LAB_CRL=$LAB/orchestrator/crl.pem"
    echo "export PUPPET_LAB_CERT=$LAB/orchestrator/cert.pem"
    echo "export PUPPET_LAB_KEY=$LAB/orchestrator/key.pem"
    echo "export PUPPET_LAB_CERTNAME=$ORCH"
    echo "export PUPPET_LAB_NODES='$(node_names | paste -sd' ')'"
    echo "export PUPPET_LAB_AGENTS=$LAB/agents"
    echo "export PUPPET_LAB_ENVIRONMENTS=$ENVIRONMENTS"
    [ "$PDB" = 0 ] || echo "export PUPPET_LAB_PDB_URL=https://localhost:$PDB_PORT"
    [ "$PDB" = 0 ] || echo "export PUPPET_LAB_PDB_PLAIN_URL=http://127.0.0.1:$PDB_PLAIN_PORT"
  } | put "$LAB/env"
}
