#!/bin/sh
# Installs what tests and examples need and the machine lacks: the compiler, a Redis or Valkey server, openssl, and on
# Debian nutcracker (twemproxy), whose tests are skipped elsewhere, except under CI.
# Prints nothing if all of it is there. REDIS_SERVER names another server binary; then no server is installed.
set -eu
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }
say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
proxy() { has nutcracker || { ! has apt-get && [ -z "${CI:-}" ]; }; }
server() { if [ -n "${REDIS_SERVER:-}" ]; then has "$REDIS_SERVER"; else has redis-server || has valkey-server; fi; }

has npm && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ||
  fail "Node 20 or later, with npm, is needed"

# find prints the lock file if it is newer than the installation, and an error if nothing is installed yet.
if [ ! -x node_modules/.bin/tsc ] ||
  [ -n "$(find package-lock.json -newer node_modules/.package-lock.json 2>&1)" ]; then
  say "installing the compiler: npm ci"
  npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
fi

if server && has openssl && proxy; then exit 0; fi
if [ -n "${REDIS_SERVER:-}" ] && ! server; then fail "cannot run REDIS_SERVER ($REDIS_SERVER)"; fi

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
else fail "no known package manager found; please install redis-server (or valkey-server) and openssl; under CI, also nutcracker"
fi

# For apt-get: ask no questions and (RUNLEVEL) start no service, because the tests start their own servers.
as_root="${root}env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1"

install_any() { # installs the first of these packages that is available
  for package; do
    say "installing: $root$install $package"
    if output=$($as_root $install "$package" </dev/null 2>&1); then return; fi
    # On a fresh Debian the package lists are often missing or out of date.
    if has apt-get && output=$({ $as_root apt-get update -qq && $as_root $install "$package"; } </dev/null 2>&1); then
      return
    fi
  done
  # No failure yet: perhaps only the package's service could not be started. The checks below decide.
}

output=
server || install_any $servers
has openssl || install_any openssl
proxy || install_any nutcracker twemproxy

server || fail "could not install a server; please run ${root:+sudo }$install ${servers%% *}
$output"
has openssl || fail "could not install openssl; please run ${root:+sudo }$install openssl
$output"
proxy || fail "could not install nutcracker (twemproxy); please run ${root:+sudo }$install nutcracker
$output"
