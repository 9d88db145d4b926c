# To be sourced by the scripts next to it: installs what they need in addition to Rust.
#
# Tools are installed into target/tools once. Only the interpreters (node, npm, python3, pip) come from
# the system; as root on Debian, missing ones are installed from Debian's packages.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/target/tools

heading() {
    printf '\n==== %s ====\n' "$*"
}

fail() {
    printf '\n%s\n' "$@" >&2
    exit 1
}

have() {
    "$@" >/dev/null 2>&1
}

need_cargo() {
    have cargo --version || fail \
        "cargo is missing. Install Rust (https://rustup.rs, or Debian's package rustup) and try again."
    echo "cargo: $(cargo --version)"
}

# node, npm and python3 with pip, from the system.
need_interpreters() {
    local packages=()
    have node --version || packages+=(nodejs)
    have npm --version || packages+=(npm)
    have python3 --version || packages+=(python3)
    have python3 -m pip --version || packages+=(python3-pip)
    if ((${#packages[@]})); then
        if ! have apt-get --version || ((EUID != 0)); then
            fail "Missing: ${packages[*]}." \
                "Install them (on Debian: apt-get install ${packages[*]}) and try again."
        fi
        apt_lists_for "${packages[@]}"
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
    fi
    echo "node: $(node --version), python: $(python3 --version)"
    # The Node package uses an encryption function that Node 22 removed.
    have node -e 'process.exit(require("crypto").createCipher ? 0 : 1)' || fail \
        "This node ($(node --version)) is too new for the Node package, which needs crypto.createCipher." \
        "Put node 12 to 21 first on PATH and try again."
}

# redis-server: the system's, or Debian's package, unpacked into target/tools.
need_redis_server() {
    local own=$tools/redis/redis-server
    if have redis-server --version; then
        export IVY_TEST_REDIS_SERVER
        IVY_TEST_REDIS_SERVER=$(command -v redis-server)
    else
        have "$own" --version || unpack_redis_server
        export IVY_TEST_REDIS_SERVER=$own
    fi
    echo "redis: $("$IVY_TEST_REDIS_SERVER" --version | cut -d ' ' -f 1-3)"
}

unpack_redis_server() {
    have apt-get --version || fail "redis-server is missing." \
        "Install Redis with your system's package manager and try again."
    apt_lists_for redis-server
    unpack_server redis || fail "The unpacked redis-server does not run." \
        "Install it (on Debian: apt-get install redis-server) and try again."
}

# valkey-server: the system's, or Debian's package, which older releases have in their backports. Without
# it, the tests on Valkey are left out.
need_valkey_server() {
    local own=$tools/valkey/valkey-server
    if have valkey-server --version; then
        export IVY_TEST_VALKEY_SERVER
        IVY_TEST_VALKEY_SERVER=$(command -v valkey-server)
    elif have "$own" --version || unpack_valkey_server; then
        export IVY_TEST_VALKEY_SERVER=$own
    else
        echo "valkey: no package, so the tests on it are left out"
        return
    fi
    echo "valkey: $("$IVY_TEST_VALKEY_SERVER" --version | cut -d ' ' -f 1-3)"
}

unpack_valkey_server() {
    have apt-get --version || return
    if have apt-get install --simulate valkey-server; then
        unpack_server valkey
        return
    fi
    # Package lists of their own, so that the system's apt does not change.
    local dir=$tools/valkey-apt keys=/usr/share/keyrings/debian-archive-keyring.gpg uri release
    read -r uri release < <(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main') || return
    release=${release%-updates}
    mkdir -p "$dir/lists/partial"
    printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$uri" "$release" "$keys" "$uri" "$release-backports" \
        >"$dir/sources.list"
    local options=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$dir/lists")
    have apt-get "${options[@]}" update && unpack_server valkey "${options[@]}"
    local status=$?
    rm -rf "$dir"
    return $status
}

# prometheus and promtool: the system's, or Debian's package, unpacked into target/tools.
need_prometheus() {
    local own=$tools/prometheus
    if have prometheus --version && have promtool --version; then
        export IVY_TEST_PROMETHEUS
        IVY_TEST_PROMETHEUS=$(dirname "$(command -v prometheus)")
    else
        have "$own/promtool" --version || unpack_prometheus
        export IVY_TEST_PROMETHEUS=$own
    fi
    echo "prometheus: $("$IVY_TEST_PROMETHEUS/prometheus" --version 2>&1 | head -n 1 | cut -d ' ' -f 1-3)"
}

# Its two programs need nothing but the C library.
unpack_prometheus() {
    local dir=$tools/prometheus
    have apt-get --version || fail "prometheus is missing." \
        "Install Prometheus with promtool and try again."
    apt_lists_for prometheus
    rm -rf "$dir"
    mkdir -p "$dir/package"
    (cd "$dir/package" && apt-get download prometheus) &&
        dpkg --extract "$dir"/package/*.deb "$dir/system" &&
        mv "$dir/system/usr/bin/prometheus" "$dir/system/usr/bin/promtool" "$dir" &&
        rm -r "$dir/package" "$dir/system" &&
        have "$dir/promtool" --version || fail "The unpacked Prometheus does not run." \
        "Install it (on Debian: apt-get install prometheus) and try again."
}

# Unpacks Debian's package of a server and its missing dependencies into target/tools. The other arguments
# are options of apt-get.
unpack_server() {
    local name=$1 dir=$tools/$1 packages package libraries
    shift
    rm -rf "$dir"
    mkdir -p "$dir/packages" "$dir/system"
    # Debian's NAME-server is a link to a program of NAME-tools, which is therefore unpacked even if the
    # system has it.
    packages=$(apt-get "$@" install --simulate --no-install-recommends "$name-server" |
        awk -v tools="$name-tools" '$1 == "Inst" { print $2 } END { print tools }' | sort -u) || return
    # shellcheck disable=SC2086 # a list of names
    (cd "$dir/packages" && apt-get "$@" download $packages) || return
    for package in "$dir"/packages/*.deb; do
        dpkg --extract "$package" "$dir/system" || return
    done
    rm -r "$dir/packages"
    libraries=$(find "$dir/system" -name '*.so*' -printf '%h\n' | sort -u | paste -sd :)
    cat >"$dir/$name-server" <<EOF
#!/bin/sh
LD_LIBRARY_PATH="$libraries" exec "$dir/system/usr/bin/$name-server" "\$@"
EOF
    chmod +x "$dir/$name-server"
    have "$dir/$name-server" --version
}

# Updates apt's package lists if these packages are unknown, as on a fresh machine.
apt_lists_for() {
    if ! have apt-get install --simulate "$@"; then
        ((EUID == 0)) || fail "apt-get does not know how to install: $*." \
            "Run 'apt-get update' as root, or install them, and try again."
        apt-get update
    fi
}

# The Node package and the IronMQ client for Node.
need_node_packages() {
    need_npm_packages "$root/tests/interop-node" "$tools/node"
    export IVY_TEST_NODE_MODULES=$tools/node/node_modules
}

# Installs the packages of one directory's package.json into another directory.
need_npm_packages() {
    local source=$1 dir=$2
    local inputs=("$source/package.json" "$source/package-lock.json" "$source/.npmrc")
    if ! is_current "$dir" "${inputs[@]}"; then
        rm -rf "$dir"
        mkdir -p "$dir"
        cp "${inputs[@]}" "$dir"
        (cd "$dir" && npm ci --loglevel=error) || fail \
            "npm could not install the packages of ${source#"$root"/}." \
            "Give npm access to its registry and try again."
        mark_current "$dir" "${inputs[@]}"
    fi
    echo "node packages: $dir/node_modules"
}

# The IronMQ and Redis clients for Python.
need_python_packages() {
    local dir=$tools/python requirements=$root/tests/interop-python/requirements.txt
    if ! is_current "$dir" "$requirements"; then
        rm -rf "$dir"
        mkdir -p "$dir"
        python3 -m pip install --quiet --disable-pip-version-check --no-input --root-user-action=ignore \
            --no-deps --target "$dir" --requirement "$requirements" || fail \
            "pip could not install the packages of tests/interop-python/requirements.txt." \
            "The tests need them: give pip access to its index and try again."
        mark_current "$dir" "$requirements"
    fi
    export IVY_TEST_PYTHONPATH=$dir
    echo "python packages: $IVY_TEST_PYTHONPATH"
}

# Whether a directory was installed from exactly these inputs, by these interpreters.
is_current() {
    [[ -f $1/.inputs ]] && [[ $(inputs_of "${@:2}") == "$(<"$1/.inputs")" ]]
}

mark_current() {
    inputs_of "${@:2}" >"$1/.inputs"
}

inputs_of() {
    node --version
    python3 --version
    cat "$@" | cksum
}
