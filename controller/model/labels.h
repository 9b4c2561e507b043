/* controller/model/labels.h - which agents an action accepts: the RunsOn expression
 *
 *     "os=linux,arch!=arm64,gpu,!spot"
 *
 * Terms joined by commas, all of which have to hold: `key=value` the label has this value,
 * `key!=value` it has another value or is missing, `key` it is there, `!key` it is not. Keys and
 * values are 1 to 63 characters of [A-Za-z0-9._/@:+-]; blanks around terms are ignored. An empty
 * expression accepts every agent.
 */
#ifndef PEN_CONTROLLER_MODEL_LABELS_H
#define PEN_CONTROLLER_MODEL_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/limits.h"

enum pen_label_test {
    PEN_LABEL_EQUAL = 1,
    PEN_LABEL_NOT_EQUAL,
    PEN_LABEL_PRESENT,
    PEN_LABEL_ABSENT,
};

struct pen_label_term {
    enum pen_label_test test;
    char key[PEN_LABEL_SIZE_MAX + 1];
    char value[PEN_LABEL_SIZE_MAX + 1]; /* "" unless test compares */
};

/* Owns nothing; may be copied. */
struct pen_labels {
    size_t terms_count;
    struct pen_label_term terms[PEN_LABEL_TERMS_MAX];
};

/* The value of an agent's label, NULL when it has none of this key. */
typedef const char *pen_label_lookup(void *context, const char *key);

/* NULL or "" gives no terms. Errors: PEN_EINVAL (names the term), PEN_ELIMIT (too many terms). */
int pen_labels_parse(const char *text, struct pen_labels *ret_labels, struct pen_error *err);

/* Whether all terms hold. */
bool pen_labels_match(const struct pen_labels *self, pen_label_lookup *lookup, void *context);

/* How many terms do not hold; ret_first (may be NULL) is the index of the first of them. For
 * explaining: the agent with the fewest misses is the nearest. */
size_t pen_labels_misses(const struct pen_labels *self, pen_label_lookup *lookup, void *context,
                         size_t *ret_first);

bool pen_label_term_holds(const struct pen_label_term *term, const char *value);

/* Append the term as it is written: "arch!=arm64". */
void pen_label_term_format(const struct pen_label_term *term, struct pen_buf *ret_text);

/* Whether text may be a label key or value (for tokens and agent configuration). */
bool pen_label_word_valid(const char *text);

#endif
