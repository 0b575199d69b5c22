# What the lab needs from Debian: sourced by up, uses its settings.

missing_packages() {
  # r10k and the proxies are not the lab's own: tests of the guides use them.
  local wanted=(puppetserver puppet-agent openssl curl iproute2 r10k git nginx apache2 haproxy) package
  [ "$PDB" = 0 ] || wanted+=(postgresql puppetdb puppet-terminus-puppetdb)
  for package in "${wanted[@]}"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
  done
}

install_packages() {
  local missing made_policy=0 ok=0
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$INSTALL" = 1 ] || die "packages missing: ${missing[*]}"
  [ "$(id -u)" = 0 ] || die "root is needed to install: ${missing[*]}"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # No package may start a service of its own: ours run on the lab's directory.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    made_policy=1
  fi
  if [ "$PDB" = 1 ]; then
    # Its package would try, and fail, to reach a database server.
    echo 'puppetdb puppetdb/dbconfig-install boolean false' | debconf-set-selections || true
  fi
  # Package mirrors fail now and then; the package lock is waited for.
  for _ in 1 2 3; do
    apt-get update -qq -o DPkg::Lock::Timeout=300 >> "$LAB/apt.log" 2>&1 || true
    if apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}" >> "$LAB/apt.log" 2>&1; then
      ok=1
      break
    fi
  done
  [ "$made_policy" = 0 ] || rm -f /usr/sbin/policy-rc.d
  [ "$ok" = 1 ] || die "could not install ${missing[*]}, see $LAB/apt.log"
}
