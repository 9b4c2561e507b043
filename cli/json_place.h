/* cli/json_place.h - where in its text a member of JSON stands
 *
 * For a person who has to find the word that was wrong.
 */
#ifndef PEN_CLI_JSON_PLACE_H
#define PEN_CLI_JSON_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"

struct pen_json_place {
    int line;   /* from 1 */
    int column; /* from 1, in characters */
};

/* The place of what the pointer (RFC 6901) leads to: of a member the beginning of its name, of an
 * element the beginning of its value. text has to be well-formed JSON. The name, or the element's
 * number, is appended to ret_name, found or not. False: there is no such place. */
bool pen_json_place_find(const char *text, size_t size, const char *pointer,
                         struct pen_json_place *ret_place, struct pen_buf *ret_name);

#endif
