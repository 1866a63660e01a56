# A PostgreSQL of the tests' own, on 127.0.0.1 and gone with them. Sourced by tests/run; POSIX sh, Debian 12 and 13.

# need_postgres: the server's programs; Debian keeps them off the PATH.
need_postgres() {
    postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$postgres_bin" ]; then
        install_packages postgresql || return 1
        postgres_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    fi
    [ -n "$postgres_bin" ] && return 0
    echo "PostgreSQL could not be found in /usr/lib/postgresql. Install it, then start again." >&2
    return 1
}

# as_postgres COMMAND: the server refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        su postgres -s /bin/sh -c "$1"
    else
        sh -c "$1"
    fi
}

# start_postgres: sets PLENUM_TEST_POSTGRES to its address. Nothing of it survives, so it need not wait for the disk.
start_postgres() {
    need_postgres || return 1
    postgres_folder=$(mktemp -d /tmp/plenum-postgres.XXXXXX) || return 1
    [ "$(id -u)" = 0 ] && chown postgres "$postgres_folder"
    trap stop_postgres EXIT
    trap 'exit 130' INT TERM
    as_postgres "'$postgres_bin/initdb' -D '$postgres_folder/data' -U plenum -A trust -E UTF8 --locale=C.UTF-8" \
        >"$logs/initdb.log" 2>&1 || { cat "$logs/initdb.log"; return 1; }
    postgres_port=
    for postgres_try in 1 2 3 4 5; do
        # A free port is only known to be one when it has been taken.
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
        if as_postgres "'$postgres_bin/pg_ctl' -D '$postgres_folder/data' -w -l '$postgres_folder/log' \
            -o '-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$postgres_folder -c fsync=off \
            -c max_connections=400' start" >>"$logs/initdb.log" 2>&1; then
            postgres_port=$port
            break
        fi
    done
    [ -n "$postgres_port" ] || { cat "$postgres_folder/log"; return 1; }
    PLENUM_TEST_POSTGRES=postgres://plenum@127.0.0.1:$postgres_port/postgres
    export PLENUM_TEST_POSTGRES
}

stop_postgres() {
    unset PLENUM_TEST_POSTGRES
    [ -n "${postgres_folder:-}" ] || return 0
    as_postgres "'$postgres_bin/pg_ctl' -D '$postgres_folder/data' -m immediate stop" >/dev/null 2>&1
    rm -rf "$postgres_folder"
    postgres_folder=
}
