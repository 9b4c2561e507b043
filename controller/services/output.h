/* controller/services/output.h - members of an answer
 *
 * What is absent stays absent: a NULL text and a time of 0 put nothing. Failures are kept in
 * call->out_of_memory, which the door looks at once. Text that is not UTF-8 (a commit message, an
 * agent's words) is shown with U+FFFD where it is not.
 */
#ifndef PEN_CONTROLLER_SERVICES_OUTPUT_H
#define PEN_CONTROLLER_SERVICES_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/services/call.h"

/* The call's output object, made when first asked for; NULL when out of memory, which every
 * function below accepts. */
json_t *pen_output(struct pen_call *call);

void pen_put_string(struct pen_call *call, json_t *object, const char *name, const char *value);
/* For members that are at least one character long: an empty value is left out. */
void pen_put_text(struct pen_call *call, json_t *object, const char *name, const char *value);
void pen_put_integer(struct pen_call *call, json_t *object, const char *name, int64_t value);
void pen_put_boolean(struct pen_call *call, json_t *object, const char *name, bool value);

/* Milliseconds since the epoch as seconds with a fraction. Times come from outside, too (of
 * commits): one outside of the years 1 to 9999 is the nearest that every client can show. */
void pen_put_time(struct pen_call *call, json_t *object, const char *name, int64_t at_ms);

/* Takes the reference; NULL means that making it failed. */
void pen_put_json(struct pen_call *call, json_t *object, const char *name, json_t *value);

/* A new empty object or list as a member; borrowed. */
json_t *pen_put_object(struct pen_call *call, json_t *object, const char *name);
json_t *pen_put_list(struct pen_call *call, json_t *object, const char *name);

/* A new empty object at the end of a list; borrowed. */
json_t *pen_add_object(struct pen_call *call, json_t *list);

/* A string at the end of a list. */
void pen_add_string(struct pen_call *call, json_t *list, const char *value);

/* Remove the member if it is an empty object or list. */
void pen_drop_empty(json_t *object, const char *name);

/* Members of an input: NULL, or the fallback, when absent. */
const char *pen_in_string(const json_t *object, const char *name);
int64_t pen_in_integer(const json_t *object, const char *name, int64_t fallback);
bool pen_in_boolean(const json_t *object, const char *name, bool fallback);

#endif
