#!/usr/bin/env python3
"""Turn the numbered migrations into one C file.

usage: make_migrations.py OUT.c NNNN-name.sql...

Numbers start at 1 and have no gaps: the number of the last one is the schema version.
"""
import pathlib
import re
import sys


def c_string(text):
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\s*--.*$", "", line).rstrip()
        if line.strip():
            lines.append('     "%s\\n"' % line.replace("\\", "\\\\").replace('"', '\\"'))
    return "\n".join(lines)


def main():
    out, files = pathlib.Path(sys.argv[1]), sorted(map(pathlib.Path, sys.argv[2:]),
                                                   key=lambda path: path.name)
    rows = []
    for number, path in enumerate(files, start=1):
        match = re.fullmatch(r"(\d{4})-([a-z0-9-]+)\.sql", path.name)
        if not match or int(match.group(1)) != number:
            sys.exit("%s: expected %04d-name.sql" % (path.name, number))
        rows.append('    {%d, "%s",\n%s},' % (number, match.group(2), c_string(path.read_text())))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(
        "/* Made by make_migrations.py from controller/store/migrations; do not edit. */\n"
        '#include "controller/store/migrations.h"\n\n'
        "const struct pen_migration pen_migrations[] = {\n" + "\n".join(rows) + "\n};\n"
        "const int pen_migrations_count = %d;\n" % len(rows))


main()
