/* common/wire/json_path.h - paths into JSON: the part of Jayway's JsonPath that has no expressions
 *
 *     $                the whole             .*  [*]    every member or element
 *     .name ['name']   a member              ..name     at any depth; also ..*, ..['name'], ..[0]
 *     [0] [-1]         an element; from the end
 *
 * Filters, slices, unions and functions are refused. A path is compared with a document in one walk
 * over it: time grows with nodes times steps, whatever the path. The document's depth has to be
 * limited by whoever parsed it (pen_json_parse does).
 */
#ifndef PEN_COMMON_WIRE_JSON_PATH_H
#define PEN_COMMON_WIRE_JSON_PATH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"

enum {
    PEN_JSON_PATH_SIZE_MAX = 150, /* bytes: the API's limit */
    PEN_JSON_PATH_STEPS_MAX = 60, /* a set of them is one 64-bit number */
};

enum pen_json_step_kind { PEN_JSON_STEP_MEMBER = 1, PEN_JSON_STEP_ELEMENT, PEN_JSON_STEP_ANY };

struct pen_json_step {
    enum pen_json_step_kind kind;
    bool deep;      /* at any depth below */
    size_t name_at; /* of a member: its name in names, with a zero at its end */
    size_t name_size;
    long long element; /* negative: from the end */
};

struct pen_json_path {
    struct pen_json_step steps[PEN_JSON_PATH_STEPS_MAX];
    size_t steps_count;
    char names[PEN_JSON_PATH_SIZE_MAX + PEN_JSON_PATH_STEPS_MAX + 1];
};

/* Errors: PEN_EINVAL (says what and where), PEN_ELIMIT. */
int pen_json_path_parse(const char *text, struct pen_json_path *ret_path, struct pen_error *err);

/* Whether the path leads to a value that is written as `wanted`: a string as it is, a number, true,
 * false and null as in JSON. wanted NULL: whether it leads to anything at all, null too. */
bool pen_json_path_matches(const struct pen_json_path *self, const json_t *document,
                           const char *wanted);

#endif
