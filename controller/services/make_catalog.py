#!/usr/bin/env python3
"""Turn the catalogue of an API into C tables.

usage: make_catalog.py catalog.json OUT.c NAME       makes pen_NAME_catalog

catalog.json holds protocol.signingName and protocol.targetPrefix, operations by name (input, output,
errors) and shapes by name (type; of a structure members and required; of a list member; of a map key
and value; min, max, pattern, enum, sensitive). validate_input.h says what the tables mean.
"""
import json
import pathlib
import sys

TYPES = {"structure", "list", "map", "string", "integer", "boolean", "timestamp"}
DEPTH_MAX = 16  # PEN_API_DEPTH_MAX


def text(value):
    if value is None:
        return "NULL"
    return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')


def fail(message):
    sys.exit("%s: %s" % (sys.argv[1], message))


class Catalog:
    def __init__(self, data):
        self.protocol = data["protocol"]
        self.operations = data["operations"]
        self.shapes = data["shapes"]
        self.index = {name: i for i, name in enumerate(sorted(self.shapes))}
        patterns = {s["pattern"] for s in self.shapes.values() if "pattern" in s}
        self.patterns = {pattern: i for i, pattern in enumerate(sorted(patterns))}
        self.depths = {}
        self.lines = []

    def reference(self, name):
        if name is None:
            return "NULL"
        if name not in self.index:
            fail("no shape '%s'" % name)
        return "&shapes[%d]" % self.index[name]

    def depth(self, name, above=()):
        """Deepest nesting below a shape; a shape within itself is refused."""
        if name in above:
            fail("shape '%s' contains itself" % name)
        if name not in self.depths:
            shape = self.shapes[name]
            below = [m["shape"] for m in shape.get("members", {}).values()]
            below += [shape[k]["shape"] for k in ("member", "value") if k in shape]
            self.depths[name] = 1 + max((self.depth(n, above + (name,)) for n in below), default=0)
        return self.depths[name]

    def add(self, line):
        self.lines.append(line)

    def add_shape_parts(self, name, shape):
        i = self.index[name]
        if shape["type"] not in TYPES:
            fail("shape '%s' has the unknown type '%s'" % (name, shape["type"]))
        if "enum" in shape:
            self.add("static const char *const values_%d[] = {%s, NULL};"
                     % (i, ", ".join(map(text, shape["enum"]))))
        if shape.get("members"):
            required = set(shape.get("required", []))
            if required - set(shape["members"]):
                fail("shape '%s' requires members that it does not have" % name)
            self.add("static const struct pen_api_member members_%d[] = {" % i)
            for member, target in shape["members"].items():
                self.add("    {%s, %s, %s}," % (text(member), self.reference(target["shape"]),
                                                "true" if member in required else "false"))
            self.add("};")

    def add_shape(self, name, shape):
        i = self.index[name]
        fields = [".name = %s" % text(name), ".type = PEN_API_%s" % shape["type"].upper()]
        if shape.get("sensitive"):
            fields.append(".sensitive = true")
        for limit in ("min", "max"):
            if limit in shape:
                fields.append(".has_%s = true, .%s = %d" % (limit, limit, shape[limit]))
        if "pattern" in shape:
            fields.append(".pattern = %s, .pattern_index = %d"
                          % (text(shape["pattern"]), self.patterns[shape["pattern"]]))
        if "enum" in shape:
            fields.append(".values = values_%d" % i)
        if shape.get("members"):
            fields.append(".members = members_%d, .members_count = %d"
                          % (i, len(shape["members"])))
        if shape["type"] == "list":
            fields.append(".element = %s" % self.reference(shape["member"]["shape"]))
        if shape["type"] == "map":
            fields.append(".key = %s, .element = %s" % (self.reference(shape["key"]["shape"]),
                                                        self.reference(shape["value"]["shape"])))
        self.add("    {%s}," % ", ".join(fields))

    def render(self, symbol):
        self.add("/* Made by make_catalog.py; do not edit. */")
        self.add('#include "controller/services/validate_input.h"\n')
        self.add("extern const struct pen_api_catalog pen_%s_catalog;" % symbol)
        self.add("static const struct pen_api_shape shapes[%d];" % len(self.shapes))
        for name in sorted(self.shapes):
            self.add_shape_parts(name, self.shapes[name])
        self.add("static const struct pen_api_shape shapes[%d] = {" % len(self.shapes))
        for name in sorted(self.shapes):
            self.add_shape(name, self.shapes[name])
        self.add("};")
        patterns = sorted(self.patterns)
        self.add("static const char *const patterns[] = {%s};"
                 % ", ".join([*map(text, patterns), "NULL"]))
        self.add("static void *compiled[%d];" % (len(patterns) + 1))
        names = sorted(self.operations)
        for i, name in enumerate(names):
            self.add("static const char *const errors_%d[] = {%s};"
                     % (i, ", ".join([*map(text, self.operations[name]["errors"]), "NULL"])))
        self.add("static const struct pen_api_operation operations[] = {")
        for i, name in enumerate(names):
            operation = self.operations[name]
            for shape in (operation["input"], operation["output"]):
                if shape is not None and self.depth(shape) > DEPTH_MAX:
                    fail("shape '%s' is nested too deeply" % shape)
            self.add("    {%s, &pen_%s_catalog, %s, %s, errors_%d},"
                     % (text(name), symbol, self.reference(operation["input"]),
                        self.reference(operation["output"]), i))
        self.add("};")
        self.add("const struct pen_api_catalog pen_%s_catalog = {" % symbol)
        self.add("    .service = %s," % text(self.protocol["signingName"]))
        self.add("    .target_prefix = %s," % text(self.protocol["targetPrefix"]))
        self.add("    .operations = operations, .operations_count = %d," % len(names))
        self.add("    .patterns = patterns, .patterns_count = %d," % len(patterns))
        self.add("    .compiled = compiled,\n};")
        return "\n".join(self.lines) + "\n"


def main():
    catalog = Catalog(json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")))
    out = pathlib.Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(catalog.render(sys.argv[3]), encoding="utf-8")


main()
