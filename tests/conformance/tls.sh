#!/usr/bin/env bash
# testssl.sh judges netloom's TLS: protocols, ciphers, certificates, known attacks, clients' handshakes.
#
#   tls.sh [--port N]     our server (the example `tls`, which signs its own certificate), on a free port unless told
#
# Ends with 0 if nothing is found above what is informational, apart from what comes of signing itself; with 1 if something
# is, with 2 if it cannot be tried. Where testssl.sh is not installed (Debian: testssl.sh) nothing is tried, and it says so.
# TESTSSL: the program, TESTSSL_OUT: where its report goes. It takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() { echo "tls.sh: $*" >&2; exit 2; }

port=0
while (($#)); do
    case $1 in
        --port) port=${2:?--port N}; shift ;;
        *) fail "what is $1?" ;;
    esac
    shift
done

program=${TESTSSL:-$(command -v testssl || command -v testssl.sh || true)}
[[ $program ]] || { echo 'skipped: there is no testssl.sh here'; exit 0; }

out=${TESTSSL_OUT:-${TMPDIR:-/tmp}/netloom-testssl}
rm -rf "$out" && mkdir -p "$out"
example=(cargo run --release --locked --quiet -p netloom --features self-signed --example tls)
"${example[@]/run/build}"
"${example[@]}" -- "$port" 0 >"$out/addresses" 2>"$out/server.log" &
server=$!
trap 'kill "$server" 2>/dev/null' EXIT
until url=$(grep -o 'https://[0-9.:]*' "$out/addresses"); do
    kill -0 "$server" 2>/dev/null || { cat "$out/server.log" >&2; fail 'the server does not start'; }
    sleep 0.1
done
"$program" --quiet --color 0 --warnings off --jsonfile "$out/findings.json" "$url" >"$out/report.txt" 2>&1 || true
[[ -s $out/findings.json ]] || { tail -n 20 "$out/report.txt" >&2; fail 'testssl.sh did not come to its end'; }

python3 - "$out/findings.json" <<'PYTHON'
import collections, json, sys

# Nobody vouches for the certificate, so nobody can revoke it; 127.0.0.1 is in no DNS; an openssl without GOST is the tool's.
EXPECTED = {"cert_chain_of_trust", "cert_revocation", "DNS_CAArecord", "engine_problem"}
findings = json.load(open(sys.argv[1]))
# With nothing to say, openssl's client may leave before the ticket comes, behind the handshake (RFC 8446, 4.6.1), and has none to
# come back with. That is no finding; tests/tls_foreign.rs resumes with openssl.
findings = [
    finding for finding in findings
    if finding["id"] != "sessionresumption_ticket" or not finding["finding"].startswith("check failed")
]
counts = collections.Counter(finding["severity"] for finding in findings)
bad = [finding for finding in findings if finding["severity"] not in ("OK", "INFO") and finding["id"] not in EXPECTED]
for finding in bad:
    print(finding["severity"], finding["id"], finding["finding"])
rating = [finding["finding"] for finding in findings if finding["id"] == "overall_grade"]
print(len(findings), "findings:", ", ".join(f"{count} {severity}" for severity, count in sorted(counts.items())), *rating)
ended = any(finding["id"] == "scanTime" for finding in findings)
if not ended:
    sys.exit("testssl.sh was stopped before its end")
sys.exit(bool(bad))
PYTHON
