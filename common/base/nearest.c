#include "common/base/nearest.h"

#include <stdint.h>
#include <string.h>

enum { BEGINNING_MIN = 3 };

static uint8_t lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte - 'A' + 'a') : (uint8_t)byte;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int begins_with(const char *known, const char *word)
{
    for (; *word != 0 && lower(*word) == lower(*known); word++)
        known++;
    return *word == 0;
}

/* How many changes make one word of the other: the rows of the usual table, of which three are
 * kept. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t rows[3][PEN_NEAREST_WORD_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *row = rows[i % 3];
        const size_t *before = rows[(i + 2) % 3];
        const size_t *two_before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t other = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(least(before[j] + 1, row[j - 1] + 1), before[j - 1] + other);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

void pen_nearest_try(struct pen_nearest *self, const char *known)
{
    size_t size = strlen(self->word);
    size_t known_size = strlen(known);
    if (size == 0 || known_size == 0 || size > PEN_NEAREST_WORD_MAX ||
        known_size > PEN_NEAREST_WORD_MAX)
        return;
    size_t found = distance(self->word, size, known, known_size);
    size_t longer = size > known_size ? size : known_size;
    if (size >= BEGINNING_MIN && begins_with(known, self->word))
        found = least(found, longer / 3);
    if (found > 0 && found > longer / 3)
        return;
    if (self->best == NULL || found < self->distance) {
        self->best = known;
        self->distance = found;
    }
}
