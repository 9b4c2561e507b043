/* cli/feed.h - the log of one action, as it grows
 *
 * Keeps its place (attempt, offset) over answers and lost connections; when the log of one attempt
 * is over and there is a newer one, goes on with that. At most one request is under way. The line
 * that has no end yet can be looked at (pen_feed_part) before it comes out whole; cli/tail.h shows
 * it.
 */
#ifndef PEN_CLI_FEED_H
#define PEN_CLI_FEED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/client.h"
#include "common/base/buf.h"
#include "common/base/error.h"

struct pen_feed;

enum pen_feed_form {
    PEN_FEED_LINES,     /* whole lines, cleaned, each with its newline: the last one, too */
    PEN_FEED_RAW_LINES, /* the same, not cleaned */
    PEN_FEED_BYTES,     /* the log's bytes as they come, and no other */
};

/* request names the log, as GetLogs takes it (a new reference is kept). */
int pen_feed_create(const json_t *request, enum pen_feed_form form, struct pen_feed **ret_feed,
                    struct pen_error *err);
void pen_feed_destroy(struct pen_feed **self_p);

/* Ask for what comes next, unless that is under way or the log is over. wait_s: let the controller
 * answer only when there is something, up to this time. */
int pen_feed_ask(struct pen_feed *self, struct pen_client *client, int wait_s,
                 struct pen_error *err);

/* Look again whether a log that was over goes on: a new attempt may have begun. */
void pen_feed_reopen(struct pen_feed *self);

/* An answer is there to be taken. */
bool pen_feed_is_ready(const struct pen_feed *self);

/* Take the answer; what came is appended to ret_text in the feed's form. A line of more than 64 KiB
 * comes out in pieces, of which only the last has a newline. Errors: as pen_call_finish; the place
 * is kept. */
int pen_feed_take(struct pen_feed *self, struct pen_buf *ret_text, struct pen_error *err);

/* Append the beginning of the line that has no end yet, cleaned whatever the form is; nothing while
 * there is more of the log to be taken. The next line that comes out begins with it, unless a '\r'
 * started it again. */
void pen_feed_part(const struct pen_feed *self, struct pen_buf *ret_text);

/* All of the log has been taken, and its attempt is over. */
bool pen_feed_is_complete(const struct pen_feed *self);

/* What is wrong with the log that is complete, as a sentence; "" for nothing. */
const char *pen_feed_damage(const struct pen_feed *self);

/* The last answer brought bytes. */
bool pen_feed_has_moved(const struct pen_feed *self);

/* What the action says while its log has no byte: what it waits for, or why there is none; "" once
 * there was one, and when it says nothing. */
const char *pen_feed_note(const struct pen_feed *self);

/* Name of the agent of the latest attempt; "" while there is none. */
const char *pen_feed_agent(const struct pen_feed *self);

#endif
