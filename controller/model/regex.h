/* controller/model/regex.h - regular expressions that cannot be made slow
 *
 *     text --pen_regex_parse--> program of instructions --pen_regex_matches--> yes or no
 *
 * The operator MATCHES of a rule compares with an expression that anybody may have written, and the
 * text may come from a command's output. So a match takes at most (length of the text) times
 * (length of the program and its sets) steps, whatever both are: all ways through the expression
 * are followed at once, none is tried again. There is no recursion.
 *
 * The syntax is the part of Java's that needs no memory of what was matched:
 *
 *     x        the character            [abc] [^a-z0-9]  one of these, none of these
 *     .        any but a line's end     \d \w \s         digit, word character, blank
 *     |        either side              \D \W \S         none of them; all six in [ ] too
 *     ( ) (?:) a group                  \t \n \r \f      and a backslash before punctuation
 *     * + ?    none or more, one or more, none or one; {m} {m,} {m,n} up to 255 times
 *     ^ $      the text's begin and end
 *
 * A `?` behind * + ? or { } (reluctant) is read and changes nothing, since only yes or no is asked.
 * Everything else (back references, look-around, possessive quantifiers, flags, \b, \p, \Q, named
 * groups, intersections in [ ]) is refused by name. Text is UTF-8; what takes a character takes a
 * whole one. A byte that is not UTF-8 counts as a character that only `.` and negations take.
 */
#ifndef PEN_CONTROLLER_MODEL_REGEX_H
#define PEN_CONTROLLER_MODEL_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/limits.h"

struct pen_regex;

/* Read an expression; free with pen_regex_destroy. Errors: PEN_EINVAL (malformed, too long, too
 * large), PEN_EUNSUPPORTED (of Java, not of ours), each naming what and where; PEN_ENOMEM. */
int pen_regex_parse(const char *text, struct pen_regex **ret_regex, struct pen_error *err);

/* Whether the whole text matches. Errors: PEN_EINVAL when the text is too long; PEN_ENOMEM. */
int pen_regex_matches(const struct pen_regex *self, const char *text, bool *ret_matches,
                      struct pen_error *err);

void pen_regex_destroy(struct pen_regex **self_p);

#endif
