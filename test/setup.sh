#!/bin/sh
# Brings what a fresh machine lacks before tests and examples run: the compiler, a Redis or Valkey server, openssl.
# Says nothing when all is there. REDIS_SERVER names another server binary; then none is installed.
set -eu
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
server() { if [ -n "${REDIS_SERVER:-}" ]; then has "$REDIS_SERVER"; else has redis-server || has valkey-server; fi; }

has npm && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' || fail "Node 20 or later, with npm, is needed"

# find prints the lock file when it is the newer one, and a complaint when nothing was installed yet.
if [ ! -x node_modules/.bin/tsc ] || [ -n "$(find package-lock.json -newer node_modules/.package-lock.json 2>&1)" ]; then
  say "installing the compiler: npm ci"
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
fi

if server && has openssl; then exit 0; fi
if [ -n "${REDIS_SERVER:-}" ] && ! server; then fail "REDIS_SERVER is $REDIS_SERVER, which cannot be run"; fi

servers="redis valkey"
root=
[ "$(id -u)" = 0 ] || root="sudo -n "
if has apt-get; then install="apt-get install -y"; servers="redis-server valkey-server"
elif has dnf; then install="dnf install -y"
elif has yum; then install="yum install -y"
elif has apk; then install="apk add --no-cache"
elif has pacman; then install="pacman -Sy --noconfirm"; servers="valkey redis"
elif has zypper; then install="zypper --non-interactive install"
elif has brew; then install="brew install"; root=
else fail "redis-server (or valkey-server) and openssl are needed; no known package manager is here, please install them"
fi

# For apt-get: no questions, and (RUNLEVEL) no service started, since the tests start their own servers.
as_root="${root}env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1"

bring() { # packages: the first that can be had will do
  for package; do
    say "installing: $root$install $package"
    if output=$($as_root $install "$package" </dev/null 2>&1); then return; fi
    # On a fresh Debian the lists of packages are often missing or out of date.
    if has apt-get && output=$({ $as_root apt-get update -qq && $as_root $install "$package"; } </dev/null 2>&1); then return; fi
  done
  # Not the last word: perhaps only the package's own service could not be started.
}

output=
server || bring $servers
has openssl || bring openssl

server || fail "no server could be installed, please do it yourself: ${root:+sudo }$install ${servers%% *}
$output"
has openssl || fail "openssl could not be installed, please do it yourself: ${root:+sudo }$install openssl
$output"
