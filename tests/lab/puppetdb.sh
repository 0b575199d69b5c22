# PuppetDB and its database: sourced by up, uses its settings.

PDB_HOME=$LAB/puppetdb

start_postgres() {
  local bin
  bin=$(postgres_bin)
  # User postgres may not be able to enter the directory (mktemp -d makes it 0700): the cluster then lies in a directory
  # of its own, which DIR/run/pgdata names.
  if [ ! -s "$LAB/run/pgdata" ]; then
    mkdir -p "$LAB/pg"
    [ "$(id -u)" != 0 ] || chown postgres:postgres "$LAB/pg"
    if as_postgres test -w "$LAB/pg"; then
      echo "$LAB/pg"
    else
      rmdir "$LAB/pg"
      as_postgres mktemp -d /var/tmp/bunraku-lab-pg.XXXXXX
    fi > "$LAB/run/pgdata"
  fi
  PGDATA=$(cat "$LAB/run/pgdata")
  if ! as_postgres test -s "$PGDATA/PG_VERSION"; then
    say "creating the PostgreSQL cluster"
    as_postgres "$bin/initdb" -D "$PGDATA" -U postgres -A trust -E UTF8 --locale=C.UTF-8 > "$LAB/run/initdb.log" 2>&1 \
      || { cat "$LAB/run/initdb.log" >&2; die "initdb failed"; }
  fi
  if ! as_postgres "$bin/pg_ctl" -D "$PGDATA" status > /dev/null 2>&1; then
    port_free "$PG_PORT" || die "port $PG_PORT is taken"
    as_postgres "$bin/pg_ctl" -D "$PGDATA" -w -t 60 -l "$PGDATA/server.log" -o "-p $PG_PORT \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c shared_buffers=64MB \
      -c max_connections=120" start > /dev/null || die "PostgreSQL did not start, see $PGDATA/server.log"
  fi
  if [ "$(sql -d postgres -c "select 1 from pg_database where datname='puppetdb'")" != 1 ]; then
    sql -d postgres -c "create role puppetdb login password 'puppetdb'" -c "create database puppetdb owner puppetdb"
    sql -d puppetdb -c 'create extension pg_trgm' -c 'grant all on schema public to puppetdb'
  fi
}

sql() { psql -qAt -h 127.0.0.1 -p "$PG_PORT" -U postgres "$@"; }

start_puppetdb() {
  mkdir -p "$PDB_HOME"/{conf.d,log,var,run}
  start_postgres
  render_tree "$TEMPLATES/puppetdb.d" "$PDB_HOME/conf.d"
  render_tree "$TEMPLATES/puppetdb" "$PDB_HOME"
  printf '%s\n' "$SERVER_NAME" "$ORCH" | put "$PDB_HOME/allowlist"
  cp -f /etc/puppetdb/conf.d/auth.conf "$PDB_HOME/conf.d/auth.conf"
  alive "$PDB_HOME/run/pid" && return
  local port
  for port in "$PDB_PORT" "$PDB_PLAIN_PORT"; do port_free "$port" || die "port $port is taken"; done
  say "starting puppetdb on 127.0.0.1:$PDB_PORT (heap $PDB_HEAP)"
  printf 0 > "$PDB_HOME/run/restart"
  launch "$PDB_HOME/run/pid" "$PDB_HOME/log/stdout.log" "-Xmx$PDB_HEAP" "${JAVA_FLAGS[@]}" \
    -Djava.security.egd=/dev/urandom -cp /usr/share/puppetdb/puppetdb.jar clojure.main \
    -m puppetlabs.puppetdb.core services --config "$PDB_HOME/conf.d" \
    --bootstrap-config /etc/puppetdb/bootstrap.cfg --restart-file "$PDB_HOME/run/restart"
}

# Its status endpoint answers before it is usable: only `running` counts.
puppetdb_ready() {
  curl -fsS --max-time 5 "http://127.0.0.1:$PDB_PLAIN_PORT/status/v1/simple" | grep -qx running
}
