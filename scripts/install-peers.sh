#!/usr/bin/env bash
# Installs the Debian packages that the interop tests and the benchmark talk to, and starts none of their services.
# Quick when everything is there. Needs root on Debian 12 or later; `--list` only prints the packages.
set -euo pipefail

# One package a line, and why it is here.
packages=(
  openssl          # keys and certificates in tests and benchmark
  python3-slixmpp  # interop: a client in Python, run by /usr/bin/python3
  go-sendxmpp      # interop: a client in Go
  biboumi          # interop: a gateway to IRC, which connects as a component
  haproxy          # interop: a balancer that sends PROXY headers
  sslscan          # interop: says what a TLS server negotiates
  chromium         # interop: a browser without a window, which runs Converse.js
  profanity        # a client for the terminal, tried by hand (CONTRIBUTING.md)
  tmux             # to drive profanity by hand or by script
  prosody          # the benchmark's first peer; interop clients are debugged against it
  ejabberd         # the benchmark's second peer
  lua-event        # Prosody's event back-ends
  postgresql       # interop: the store's second implementation; the tests make clusters of their own
)
# Their services run as these users; the servers that tests and benchmark start themselves do not.
service_users=(prosody ejabberd epmd haproxy _biboumi)

if [ "${1-}" = --list ]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

# The packages that are not wholly installed.
missing() {
  local package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

# The processes of the packages' services, which must not exist.
services() {
  local user
  for user in "${service_users[@]}"; do
    if id -u "$user" >/dev/null 2>&1; then pgrep -l -u "$user" || true; fi
  done
}

mapfile -t wanted < <(missing)
if [ "${#wanted[@]}" -eq 0 ]; then
  echo "peers: all ${#packages[@]} packages are installed"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "peers: run this as root to install: ${wanted[*]}" >&2
  exit 1
fi

# A second run waits: both would keep and restore the same policy file.
mkdir -p /run/lock
exec 9>/run/lock/install-peers.lock
flock 9

# invoke-rc.d and deb-systemd-invoke ask this file; 101 means "start nothing".
policy=/usr/sbin/policy-rc.d
kept=$(mktemp -d)
restore() {
  rm -f "$policy"
  if [ -e "$kept/policy-rc.d" ]; then mv "$kept/policy-rc.d" "$policy"; fi
  rm -rf "$kept"
}
if [ -e "$policy" ]; then cp -a "$policy" "$kept/policy-rc.d"; fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

echo "peers: installing ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
before=$(services)
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
"${apt[@]}" update </dev/null
if [[ " ${wanted[*]} " == *" postgresql "* ]]; then
  # Its installation makes a cluster, which would start with the machine, unless this says otherwise.
  "${apt[@]}" install --no-install-recommends postgresql-common </dev/null
  sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
fi
"${apt[@]}" install --no-install-recommends "${wanted[@]}" </dev/null

mapfile -t wanted < <(missing)
if [ "${#wanted[@]}" -ne 0 ]; then
  echo "peers: still missing: ${wanted[*]}" >&2
  exit 1
fi
after=$(services)
if [ "$after" != "$before" ]; then
  printf 'peers: the installation started a service:\n%s\n' "$after" >&2
  exit 1
fi
echo "peers: all ${#packages[@]} packages are installed, none of their services runs"
