/* common/base/nearest.h - the word that was probably meant
 *
 *     struct pen_nearest nearest = {.word = "executionmode"};
 *     for each known word: pen_nearest_try(&nearest, known);
 *     nearest.best -> "executionMode", or NULL: nothing is near
 *
 * Near is what becomes the word by few changes: a byte more, less or another, two that are swapped;
 * at most one for every three bytes. So is what begins with the word, from three bytes on. Upper
 * and lower case are the same.
 */
#ifndef PEN_COMMON_BASE_NEAREST_H
#define PEN_COMMON_BASE_NEAREST_H

#include <stddef.h>

struct pen_nearest {
    const char *word;
    const char *best; /* borrowed from the caller; the first of several that are as near */
    size_t distance;  /* of best */
};

/* Longer words than PEN_NEAREST_WORD_MAX bytes are near to nothing. */
enum { PEN_NEAREST_WORD_MAX = 120 };

void pen_nearest_try(struct pen_nearest *self, const char *known);

#endif
