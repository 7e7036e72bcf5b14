#!/usr/bin/python3
"""Lines of functions and files, against what design.md aims at: median 18, nine in ten under 45, none over 80; files 500."""
import re
import statistics
import sys


def functions(path):
    """(name, lines) of each function: from the line before its opening brace in column 0 to its closing one."""
    lines = open(path, encoding="utf-8").read().split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{" and start is None:
            start = i
        elif line == "}" and start is not None:
            head = lines[start - 1]
            name = re.search(r"(\w+)\(", " ".join(lines[max(0, start - 3) : start]))
            if "=" not in head:
                yield (name.group(1) if name else "?", i - start + 2)
            start = None
        elif re.match(r"^\w.*\) \{.*\}$", line):
            name = re.search(r"(\w+)\(", line)
            yield (name.group(1) if name else "?", 1)


def main(paths):
    found = [(n, name, p) for p in paths for name, n in functions(p)]
    sizes = sorted(n for n, _, _ in found)
    p90 = sizes[len(sizes) * 9 // 10]
    print(f"  {len(sizes)} functions: median {statistics.median(sizes):.0f}, nine in ten up to {p90}, longest {sizes[-1]}")
    bad = statistics.median(sizes) > 18 or p90 > 45
    for n, name, path in sorted(found, reverse=True):
        if n > 80:
            print(f"  {path}: {name}() has {n} lines")
            bad = True
    for path in paths:
        n = sum(1 for _ in open(path, encoding="utf-8"))
        if n > 500:
            print(f"  {path} has {n} lines")
            bad |= n > 700
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
