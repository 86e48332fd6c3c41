# packages.sh - which packages are missing, and installing them; sourced by `run` and `tests/run`.
#
# The caller has set `root` to the top of the tree.

packages_build='build-essential cmake ninja-build pkg-config libevent-dev libcurl4-openssl-dev
    libhiredis-dev libssl-dev libmsgpack-dev libjansson-dev libcyaml-dev liblz4-dev'
packages_run='redis-server ca-certificates curl'

# Prints those of the named packages that are not installed.
packages_missing() {
    local package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            echo "$package"
        fi
    done
}

# Installs what is missing of the named packages; says what to type, and fails, where it cannot.
packages_need() {
    local missing command log
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        packages_foreign "$@"
        return
    fi
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    command="apt-get update && apt-get install --no-install-recommends $missing"
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        {
            echo "These Debian packages are missing: $missing"
            echo "Installing them needs root, and there is no sudo here. Type as root:"
            echo "    $command"
        } >&2
        return 1
    fi
    echo "Installing Debian packages (no service will be started): $missing"
    log=$root/build/packages.log
    mkdir -p "$root/build"
    # shellcheck disable=SC2086 # the list is meant to be split
    if ! packages_as_root "$root/.ci/install-packages" $missing >"$log" 2>&1 </dev/null; then
        {
            tail -n 15 "$log"
            echo
            echo "Installing failed; all of it is in $log. Without network, or with package lists that"
            echo "cannot be fetched, install these by other means. As root:"
            echo "    $command"
        } >&2
        return 1
    fi
}

packages_as_root() {
    if [ "$(id -u)" = 0 ]; then
        sh "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n sh "$@"
    elif [ -t 0 ] || [ -e /dev/tty ]; then
        sudo -p 'sudo password for installing packages: ' true </dev/tty >/dev/tty 2>&1 &&
            sudo -n sh "$@"
    else
        echo 'sudo wants a password and there is no terminal to ask on.'
        return 1
    fi
}

# Not Debian: nothing is installed, only looked for.
packages_foreign() {
    local lacking='' program library
    for program in cc cmake ninja pkg-config redis-server; do
        command -v "$program" >/dev/null || lacking="$lacking $program"
    done
    for library in libevent libcurl hiredis libssl libcrypto msgpack jansson libcyaml liblz4; do
        pkg-config --exists "$library" 2>/dev/null || lacking="$lacking $library(library)"
    done
    [ -n "$lacking" ] || return 0
    {
        echo "This is not Debian or one of its relatives, so nothing is installed by itself."
        echo "Missing:$lacking"
        echo "Install what your system calls these Debian 12 packages, then start again:"
        echo "    apt-get install" "$@"
    } >&2
    return 1
}

# build_preset PRESET LOG [TARGET…]: configures where needed and builds. On a terminal one line that
# counts; otherwise silent. The log has everything, and its end is shown on failure. Needs pipefail.
build_preset() {
    local preset=$1 log=$2
    shift 2
    mkdir -p "$(dirname "$log")"
    : >"$log"
    if ! build_preset_plainly "$preset" "$@" 2>&1 </dev/null | build_progress "$log"; then
        {
            echo "Building failed (preset $preset); the log is $log and ends with"
            tail -n 40 "$log"
        } >&2
        return 1
    fi
}

build_preset_plainly() {
    local preset=$1
    shift
    cd "$root" || return 1
    if [ ! -f "build/$preset/build.ninja" ]; then
        cmake --preset "$preset" --fresh || return 1
    fi
    NINJA_STATUS='[%f/%t] ' cmake --build --preset "$preset" ${1+--target "$@"}
}

build_progress() {
    local log=$1 line
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        if [ -t 1 ] && [[ $line == \[+([0-9])/+([0-9])\]* ]]; then
            printf '\r\033[K  %.75s' "$line"
        fi
    done
    if [ -t 1 ]; then
        printf '\r\033[K'
    fi
}
