"""Prints what Autobahn|Testsuite found, a row a section: report.py ROLE DIR [CASES]. Python 2.7, as the suite is."""
from __future__ import print_function

import collections
import json
import sys

SECTIONS = {
    1: "framing", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragmentation", 6: "UTF-8", 7: "closing",
    9: "limits and performance", 10: "fragmentation by the peer", 12: "compression", 13: "compression, parameters",
}
COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"]
GOOD = {"OK", "INFORMATIONAL"}


def verdict(case):
    """A case's column. How the connection was closed is judged too, but for what was not tried."""
    behavior, close = case["behavior"], case["behaviorClose"]
    if behavior == "UNIMPLEMENTED" or (behavior in COLUMNS and close in GOOD):
        return behavior
    return "FAILED"


def numbers(name):
    return [int(part) for part in name.split(".")]


def main(role, folder, expected=None):
    with open(folder + "/index.json") as index:
        cases = next(iter(json.load(index).values()), {})
    rows = collections.defaultdict(collections.Counter)
    for name, case in cases.items():
        rows[numbers(name)[0]][verdict(case)] += 1
        rows["all"][verdict(case)] += 1
    line = "{:<30}" + "{:>15}" * len(COLUMNS)
    print(line.format("Autobahn|Testsuite, " + role, *COLUMNS))
    for section in sorted(rows, key=lambda key: (key == "all", key)):
        name = "all" if section == "all" else "{:>2} {}".format(section, SECTIONS.get(section, ""))
        print(line.format(name, *[rows[section][column] or "." for column in COLUMNS]))
    bad = [name for name in sorted(cases, key=numbers) if verdict(cases[name]) not in GOOD]
    for name in bad:
        case = cases[name]
        print("{}: {}, close {} ({}); {}/{}".format(
            name, case["behavior"], case["behaviorClose"], case["remoteCloseCode"], folder, case["reportfile"]))
    if expected and len(cases) != int(expected):
        print("{} cases were tried, not {}".format(len(cases), expected))
        return 1
    return 1 if bad or not cases else 0


sys.exit(main(*sys.argv[1:]))
