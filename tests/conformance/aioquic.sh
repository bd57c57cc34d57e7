#!/usr/bin/env bash
# aioquic and netloom try each other over QUIC: its interoperability client at our server, our client at a server of its.
#
# Ends with 0 if every letter is there but E (not tried by aioquic), L (a property of websites), T (needs HTTP over TCP) and
# HTTP/3's, and our client gets everything; with 1 if not, with 2 if it cannot be tried. AIOQUIC_VENV: where aioquic is kept.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/conformance
wanted='VHDCRZSQ MBAUP--- ---'

fail() { echo "aioquic.sh: $*" >&2; exit 2; }

venv=${AIOQUIC_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/netloom/aioquic}
if [[ ! -d $venv/examples ]]; then
    echo "Installing aioquic in $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "Python's venv is missing"
    pip=("$venv/bin/pip" --disable-pip-version-check -q)
    "${pip[@]}" install aioquic==1.7.2 httpx wsproto
    source=$(mktemp -d)
    "${pip[@]}" download --no-deps --no-binary :all: -d "$source" aioquic==1.7.2
    tar -xzf "$source"/aioquic-1.7.2.tar.gz -C "$source"
    cp -r "$source"/aioquic-1.7.2/examples "$venv/examples"
    rm -rf "$source"
fi
python=$venv/bin/python

cargo build --release --locked --quiet -p netloom --features quic,self-signed --example interop
interop=${CARGO_TARGET_DIR:-target}/release/examples/interop
work=$(mktemp -d)
started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

# Waits for the first line of a file: where a server listens.
listens() { for _ in $(seq 100); do [[ -s $1 ]] && head -n 1 "$1" && return; sleep 0.1; done; fail "$1: nothing listens"; }

echo '== our server, aioquic as the client'
"$interop" serve 127.0.0.1:0 >"$work/server" & started+=($!)
"$interop" serve 127.0.0.1:0 --retry >"$work/retry" & started+=($!)
port=$(listens "$work/server") retry=$(listens "$work/retry")
# The spin bit is left out at random in one connection of eight (RFC 9000, 17.4): three chances.
for _ in 1 2 3; do
    "$python" "$here/quic_peer.py" letters "$venv/examples" "${port##*:}" "${retry##*:}" >"$work/letters" 2>&1 ||
        { cat "$work/letters" >&2; exit 1; }
    got=$(sed -n 's/^netloom  *//p' "$work/letters" | tail -n 1)
    [[ $got == "$wanted" ]] && break
done
echo "$got"
[[ $got == "$wanted" ]] || { cat "$work/letters" >&2; echo "wanted: $wanted" >&2; exit 1; }

echo '== our client, aioquic as the server'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
for retry in '' retry; do
    mkfifo "$work/end$retry"
    "$python" "$here/quic_peer.py" serve "$work/cert.pem" "$work/key.pem" $retry >"$work/aioquic$retry" \
        <"$work/end$retry" & started+=($!)
    exec {end}>"$work/end$retry"
    address=127.0.0.1:$(listens "$work/aioquic$retry")
    for option in '' --updates-keys --moves --early; do
        got=$(timeout 60 "$interop" get $option "$address" /1 /100000 /1000000 /5)
        echo "${retry:-plain} ${option:-transfer}: ${got//$'\n'/, }"
        [[ $got == $'/1: 1 bytes\n/100000: 100000 bytes\n/1000000: 1000000 bytes\n/5: 5 bytes' ]] || exit 1
    done
    exec {end}>&-
done
