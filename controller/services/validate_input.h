/* controller/services/validate_input.h - requests against the catalogue of an API
 *
 * A catalogue holds the operations and shapes of one API, compiled in from the catalog.json of its
 * folder (make_catalog.py makes C tables at build time). Checked before any handler runs: required
 * members, types, lengths (in characters), ranges, patterns and enumerations, at any depth. The
 * answer is a ValidationException in the sentence that AWS clients know:
 *
 *     1 validation error detected: Value 'a b' at 'pipeline.name' failed to satisfy constraint:
 *     Member must satisfy regular expression pattern: [A-Za-z0-9.@\-_]+
 *
 * Lists are named as their clients know it: 'pipeline.stages.1.member.name' is the name of the
 * first stage. Several errors are counted and joined by "; ", as many as the message holds. A
 * member of the wrong JSON type is a SerializationException. Members that the catalogue does not
 * know are ignored; a null counts as absent. Values of sensitive shapes are not repeated in the
 * message.
 */
#ifndef PEN_CONTROLLER_SERVICES_VALIDATE_INPUT_H
#define PEN_CONTROLLER_SERVICES_VALIDATE_INPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

enum pen_api_type {
    PEN_API_STRUCTURE = 1,
    PEN_API_LIST,
    PEN_API_MAP,
    PEN_API_STRING,
    PEN_API_INTEGER,
    PEN_API_BOOLEAN,
    PEN_API_TIMESTAMP, /* seconds since the epoch, with a fraction */
};

struct pen_api_shape;

struct pen_api_member {
    const char *name;
    const struct pen_api_shape *shape;
    bool required;
};

struct pen_api_shape {
    const char *name;
    enum pen_api_type type;
    bool sensitive;
    bool has_min;
    bool has_max;
    int64_t min; /* length, number of elements, or value, by type */
    int64_t max;
    const char *pattern;                  /* as the API writes it; NULL: none */
    uint16_t pattern_index;               /* into the catalogue's compiled patterns */
    const char *const *values;            /* NULL-terminated enumeration; NULL: any */
    const struct pen_api_member *members; /* of a structure */
    size_t members_count;
    const struct pen_api_shape *key;     /* of a map */
    const struct pen_api_shape *element; /* of a list or map */
};

struct pen_api_catalog;

struct pen_api_operation {
    const char *name; /* "CreatePipeline" */
    const struct pen_api_catalog *catalog;
    const struct pen_api_shape *input; /* NULL: takes nothing */
    const struct pen_api_shape *output;
    const char *const *errors; /* NULL-terminated error names that it may answer with */
};

struct pen_api_catalog {
    const char *service;       /* name in the credential scope: "codepipeline" */
    const char *target_prefix; /* before the dot of X-Amz-Target: "CodePipeline_20150709" */
    const struct pen_api_operation *operations; /* by name, ascending */
    size_t operations_count;
    const char *const *patterns; /* every pattern once */
    size_t patterns_count;
    void **compiled; /* patterns_count slots that pen_api_catalog_start fills */
};

/* Made from controller/services/codepipeline/catalog.json. */
extern const struct pen_api_catalog pen_codepipeline_catalog;

enum {
    PEN_API_DEPTH_MAX =
        16, /* deepest nesting of a catalogue's shapes; make_catalog.py refuses more */
    PEN_API_VALUE_SHOWN = 100, /* bytes of an offending value that the answer repeats */
};

/* Compile the patterns. Call once for each catalogue, before other threads run; calling again is
 * free. Errors: PEN_EINVAL (a pattern that cannot be compiled), PEN_ENOMEM. */
int pen_api_catalog_start(const struct pen_api_catalog *self, struct pen_error *err);

/* Give the compiled patterns back, at the end. */
void pen_api_catalog_stop(const struct pen_api_catalog *self);

/* The operation of this name ("CreatePipeline"), NULL when the API has none. */
const struct pen_api_operation *pen_api_operation_find(const struct pen_api_catalog *catalog,
                                                       const char *name);

/* Check a request. Safe from several threads after the start. Errors: PEN_EINVAL with
 * ValidationException or SerializationException. */
int pen_api_validate(const struct pen_api_operation *operation, json_t *body,
                     struct pen_error *err);

#endif
