# Functions that install what a fresh machine lacks. The other scripts source this file.
# shellcheck shell=bash
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
export PATH="$ROOT/node_modules/.bin:$PATH"

say() { printf '%s\n' "stampede: $*" >&2; }
die() {
  say "$*"
  exit 1
}

need_node() {
  command -v node >/dev/null || die 'Node.js is missing: install Node.js 20.12 or newer (20 or 22 LTS)'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
    process.exit(a * 1000 + b >= 20012 && a < 23 ? 0 : 1)' ||
    die "Node.js $(node -p process.versions.node) is not supported: install 20.12 or newer, below 23" \
      '(the native WebSocket binaries are built for 20 and 22)'
}

# Runs npm ci if nothing is installed or the lock file is newer.
need_packages() {
  local installed=node_modules/.package-lock.json
  if [[ ! -f $installed || package-lock.json -nt $installed ]]; then
    say 'installing npm packages (npm ci): this takes a minute or more'
    npm ci --include=dev --no-audit --no-fund --loglevel=error >&2
    touch "$installed"
  fi
}

# Prints the command that gains root (empty for root). Fails if that would wait for a password.
elevation() {
  if [[ $(id -u) == 0 ]]; then
    echo ''
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    echo 'sudo -n'
  elif command -v sudo >/dev/null && [[ -t 0 && -t 2 && -z ${CI:-} ]]; then
    echo 'sudo'
  else
    return 1
  fi
}

apt_install() {
  command -v apt-get >/dev/null || return 1
  local as_root
  as_root="$(elevation)" || return 1
  say "installing $* (apt-get): this takes a minute or more"
  # shellcheck disable=SC2086 # as_root is empty or a command with its flag
  {
    $as_root apt-get update -qq -o DPkg::Lock::Timeout=120 &&
      $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o DPkg::Lock::Timeout=120 "$@"
  } >/dev/null </dev/null
}

# The engine starts redis-server children. Debian's package also starts a service on port 6379:
# policy-rc.d prevents that during the installation, and the service is disabled for later boots.
apt_install_redis() {
  local as_root policy=/usr/sbin/policy-rc.d made_policy='' failed=0
  as_root="$(elevation)" || return 1
  if [[ ! -e $policy ]]; then
    # shellcheck disable=SC2086
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null &&
      $as_root chmod 755 "$policy" && made_policy=yes
  fi
  apt_install redis-server || failed=1
  # shellcheck disable=SC2086
  [[ -z $made_policy ]] || $as_root rm -f "$policy"
  [[ $failed == 0 ]] || return 1
  if [[ -d /run/systemd/system ]]; then
    # shellcheck disable=SC2086
    $as_root systemctl disable --now redis-server >/dev/null 2>&1 || true
  else
    # shellcheck disable=SC2086
    $as_root update-rc.d redis-server disable >/dev/null 2>&1 || true
  fi
}

need_redis() {
  local install='install it first: apt-get install redis-server (Debian, Ubuntu) or brew install redis (macOS)'
  redis_here && return 0
  case "$(uname -s)" in
    Linux) apt_install_redis || true ;;
    Darwin) if command -v brew >/dev/null; then
      say 'installing redis (brew): this takes a minute or more'
      brew install --quiet redis >&2 </dev/null || true
    fi ;;
  esac
  redis_here || die "redis-server is missing; $install"
}
redis_here() { command -v redis-server >/dev/null || command -v valkey-server >/dev/null; }

# nginx, Caddy and promtool, with which the examples of scripts/deploy are tested. They are unpacked,
# not installed, because Debian's packages start services. Without one its tests are skipped.
need_programs() {
  local folder="$ROOT/node_modules/.cache/programs" missing=()
  export PATH="$PATH:/usr/sbin:$folder/usr/sbin:$folder/usr/bin"
  command -v nginx >/dev/null || missing+=(nginx)
  command -v caddy >/dev/null || missing+=(caddy)
  command -v promtool >/dev/null || missing+=(prometheus)
  [[ ${#missing[@]} == 0 ]] || apt_unpack "$folder" "${missing[@]}" ||
    say "not available: ${missing[*]}. The tests that need them are skipped"
}
apt_unpack() {
  local folder="$1" as_root packages
  shift
  command -v apt-get >/dev/null && as_root="$(elevation)" || return 1
  say "unpacking $* (apt-get)"
  packages="$(mktemp -d)"
  # shellcheck disable=SC2086 # as_root is empty or a command with its flag
  {
    mkdir -p "$folder" && $as_root apt-get update -qq -o DPkg::Lock::Timeout=120 &&
      (cd "$packages" && apt-get download -qq "$@" && for package in *.deb; do dpkg-deb -x "$package" "$folder"; done)
  } >/dev/null 2>&1 </dev/null || { rm -rf "$packages" && return 1; }
  rm -rf "$packages"
}

# Sets STAMPEDE_CHROMIUM to a browser, or to an empty text, which skips the browser tests.
need_chromium() {
  [[ -z ${STAMPEDE_CHROMIUM+set} ]] || return 0
  find_chromium
  if [[ -z $STAMPEDE_CHROMIUM && $(uname -s) == Linux ]]; then
    apt_install chromium || true
    find_chromium
  fi
  [[ -n $STAMPEDE_CHROMIUM ]] || say 'Chromium is missing and could not be installed: browser tests are skipped'
}
find_chromium() {
  local name
  export STAMPEDE_CHROMIUM=''
  for name in chromium chromium-browser google-chrome google-chrome-stable \
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome' \
    /Applications/Chromium.app/Contents/MacOS/Chromium; do
    if STAMPEDE_CHROMIUM="$(command -v "$name")"; then return 0; fi
  done
  STAMPEDE_CHROMIUM=''
}
