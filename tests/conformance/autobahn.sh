#!/usr/bin/env bash
# Autobahn|Testsuite judges netloom's WebSocket: 517 cases, as a server and as a client.
#
#   autobahn.sh server [--quick] [--port N] [CASE...]     our server, tried by its fuzzing client
#   autobahn.sh client [--quick] [--port N] [CASE...]     our client, tried by its fuzzing server
#
# --quick leaves out what only takes long. CASE is a pattern of the suite's: 6.* or 12.1.3. On a free port unless told.
# Ends with 0 if every case is OK or INFORMATIONAL, with 1 if one is not, with 2 if it cannot be tried. The suite runs on
# Python 2.7 alone; where there is none (on the PATH, under pyenv, named by PYTHON27) nothing is tried, and it says so.
# AUTOBAHN_VENV: where the suite is kept, AUTOBAHN_OUT: where its pages go.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() { echo "autobahn.sh: $*" >&2; exit 2; }

role=${1:-}
[[ $role == server || $role == client ]] || fail 'server or client?'
shift
port=0 cases=() count=
while (($#)); do
    case $1 in
        --quick)
            cases+=('1.*' '2.*' '3.*' '4.*' '5.*' '6.*' '7.*' '9.1.*' '10.*'
                12.1.1 12.1.2 12.1.3 12.1.10 13.3.1 13.3.10)
            count=259 ;;
        --port) port=${2:?--port N}; shift ;;
        -*) fail "what is $1?" ;;
        *) cases+=("$1") ;;
    esac
    shift
done
((${#cases[@]})) || { cases=('*'); count=517; }

python27() {
    for python in "${PYTHON27:-}" python2.7 "$HOME"/.pyenv/versions/2.7*/bin/python2.7; do
        # pyenv leaves a python2.7 on the PATH that only says that it is not chosen.
        [[ $python ]] && "$python" -c '' 2>/dev/null && { echo "$python"; return; }
    done
    return 1
}

venv=${AUTOBAHN_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/netloom/autobahn}
if [[ ! -x $venv/bin/wstest ]]; then
    python=$(python27) || { echo 'skipped: Autobahn|Testsuite needs Python 2.7, and there is none here'; exit 0; }
    echo "Installing Autobahn|Testsuite in $venv"
    rm -rf "$venv"
    bare=$(mktemp -d)
    pip=(-m pip --disable-pip-version-check -q)
    "$python" "${pip[@]}" install --target "$bare" virtualenv==20.15.1 2>"$bare/log" &&
        PYTHONPATH=$bare "$python" -m virtualenv -q "$venv" 2>>"$bare/log" &&
        "$venv/bin/python" "${pip[@]}" install setuptools==44.0.0 2>>"$bare/log" &&
        "$venv/bin/python" "${pip[@]}" install --only-binary cryptography,cffi,zope.interface \
            autobahntestsuite==25.10.1 2>>"$bare/log" || { cat "$bare/log" >&2; fail 'the suite cannot be installed'; }
    rm -rf "$bare"
fi

out=${AUTOBAHN_OUT:-${TMPDIR:-/tmp}/netloom-autobahn}/$role
rm -rf "$out" && mkdir -p "$out"
netloom() { exec cargo run --release --locked --quiet -p netloom-cli -- "$@"; }
# The longest messages of the suite have 16 MiB.
longest=16M
list() { printf '"%s",' "${cases[@]}" | sed 's/,$//'; }
spec() { echo "{ $1, \"outdir\": \"$out\", \"cases\": [$(list)], \"exclude-cases\": [], \"exclude-agent-cases\": {} }" >"$out/spec.json"; }
other= && trap '[[ $other ]] && kill "$other" 2>/dev/null' EXIT

as_server() {
    cargo build --release --locked --quiet -p netloom-cli
    netloom serve --no-tcp --http "$port" --max-message "$longest" --json >"$out/endpoints.json" 2>"$out/server.log" &
    other=$!
    until url=$(grep -o 'http://[0-9.:]*/' "$out/endpoints.json"); do
        kill -0 "$other" 2>/dev/null || { cat "$out/server.log" >&2; fail 'the server does not start'; }
        sleep 0.1
    done
    spec "\"servers\": [{ \"agent\": \"netloom\", \"url\": \"ws${url#http}ws\" }]"
    "$venv/bin/wstest" -m fuzzingclient -s "$out/spec.json" >"$out/log" 2>&1 || true
}

as_client() {
    cargo build --release --locked --quiet -p netloom --example autobahn
    free() { "$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }
    ((port)) || port=$(free)
    spec "\"url\": \"ws://127.0.0.1:$port\""
    # Without -u 0 its pages are on port 8080, for everybody.
    "$venv/bin/wstest" -m fuzzingserver -s "$out/spec.json" -u 0 >"$out/log" 2>&1 &
    other=$!
    until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        kill -0 "$other" 2>/dev/null || { tail -n 5 "$out/log" >&2; fail 'the fuzzing server does not start'; }
        sleep 0.1
    done
    cargo run --release --locked --quiet -p netloom --example autobahn -- "ws://127.0.0.1:$port" 2>"$out/client.log" ||
        tail -n 1 "$out/client.log" >&2
}

"as_$role"
[[ -f $out/index.json ]] || { tail -n 20 "$out/log" >&2; fail 'the suite did not come to its end'; }
"$venv/bin/python" tests/conformance/report.py "$role" "$out" $count
