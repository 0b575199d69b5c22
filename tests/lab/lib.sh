# Shared by up and down: messages, templates, processes. To be sourced; LAB must be set before any function is called.

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# put FILE: standard input becomes that file, only when it differs, so that caches and time stamps stay quiet.
put() {
  mkdir -p "$(dirname "$1")"
  cat > "$1.new"
  if cmp -s "$1.new" "$1" 2>/dev/null; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}

# render FILE: the template with every @NAME@ replaced by the variable of that name.
render() {
  local text name
  text=$(cat "$1"; printf x)
  for name in LAB SERVER_NAME DOMAIN PORT PDB_PORT PDB_PLAIN_PORT PG_PORT JRUBIES USER GROUP REPORTS CERTNAME; do
    text=${text//"@$name@"/"${!name:-}"}
  done
  printf '%s' "${text%x}"
}

# render_tree FROM TO: every template below FROM, with its mode.
render_tree() {
  local file
  while IFS= read -r file; do
    render "$1/$file" | put "$2/$file"
    if [ -x "$1/$file" ]; then chmod 755 "$2/$file"; fi
  done < <(cd "$1" && find . -type f -printf '%P\n' | sort)
}

# alive PIDFILE: is that process still one that works on our directory?
alive() {
  local pid
  [ -s "$1" ] || return 1
  pid=$(cat "$1")
  [ -r "/proc/$pid/cmdline" ] && tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF -- "$LAB/"
}

# stop_process PIDFILE NAME: ends a process of ours, and no other.
stop_process() {
  local pid
  if alive "$1"; then
    pid=$(cat "$1")
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 1 60); do [ -d "/proc/$pid" ] || break; sleep 0.5; done
    if [ -d "/proc/$pid" ]; then
      say "$2 did not end within 30 s, killing it"
      kill -KILL "$pid" 2>/dev/null || true
    fi
  fi
  rm -f "$1"
}

# launch PIDFILE LOG JAVA-ARGUMENT...: in a session of its own, so that it outlives this shell and its terminal.
launch() {
  local pidfile=$1 log=$2
  shift 2
  (cd / && umask 022 && exec setsid nohup /usr/bin/java "$@") > "$log" 2>&1 < /dev/null &
  echo $! > "$pidfile"
}

# wait_for SECONDS PIDFILE LOG COMMAND...: until the command succeeds; fails when the process dies.
wait_for() {
  local limit=$1 pidfile=$2 log=$3 start=$SECONDS
  shift 3
  until "$@" >/dev/null 2>&1; do
    [ -d "/proc/$(cat "$pidfile")" ] || { tail -20 "$log" >&2; die "the process died while it started, see $log"; }
    [ $((SECONDS - start)) -lt "$limit" ] || { tail -20 "$log" >&2; die "not ready after $limit s, see $log"; }
    sleep 0.5
  done
}

port_free() { [ -z "$(ss -Hltn "sport = :$1")" ]; }

# PostgreSQL refuses to run as root.
as_postgres() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
postgres_bin() { find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1; }
