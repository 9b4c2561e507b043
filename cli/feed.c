#include "cli/feed.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/keys/digest.h"

/* A line that is longer comes out in pieces: a part is cleaned again with each answer. */
enum { LINE_BYTES_MAX = 64 * 1024 };

struct pen_feed {
    json_t *request;
    enum pen_feed_form form;
    struct pen_call *call;
    int64_t offset;
    int64_t fence;
    bool complete;
    bool moved;
    bool behind; /* there is more of the log than was taken */
    char *agent;
    char *damage;
    char *note;          /* the action's summary, as the last answer has it */
    bool spoken;         /* the log has had a byte */
    struct pen_buf rest; /* the beginning of a line */
    bool in_line;        /* pieces of that line have come out */
};

int pen_feed_create(const json_t *request, enum pen_feed_form form, struct pen_feed **ret_feed,
                    struct pen_error *err)
{
    PEN_CLEANUP(pen_feed_destroy) struct pen_feed *self = calloc(1, sizeof *self);
    if (self != NULL)
        self->request = json_deep_copy(request);
    if (self == NULL || self->request == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a log");
    self->form = form;
    *ret_feed = TAKE_PTR(self);
    return 0;
}

void pen_feed_destroy(struct pen_feed **self_p)
{
    struct pen_feed *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_call_destroy(&self->call);
    json_decref(self->request);
    free(self->agent);
    free(self->damage);
    free(self->note);
    pen_buf_release(&self->rest);
    free(self);
}

int pen_feed_ask(struct pen_feed *self, struct pen_client *client, int wait_s,
                 struct pen_error *err)
{
    if (self->call != NULL || self->complete)
        return 0;
    if (json_object_set_new(self->request, "offset", json_integer(self->offset)) < 0 ||
        json_object_set_new(self->request, "limit", json_integer(PEN_LIMIT_LOG_PAGE_BYTES)) < 0 ||
        json_object_set_new(self->request, "waitSeconds", json_integer(wait_s)) < 0 ||
        (self->fence != 0 &&
         json_object_set_new(self->request, "fence", json_integer(self->fence)) < 0))
        return pen_fail(err, PEN_ENOMEM, "no memory for a log");
    return pen_call_start(client, PEN_SERVICE_PENSTOCK, "GetLogs", self->request, wait_s,
                          &self->call, err);
}

void pen_feed_reopen(struct pen_feed *self)
{
    self->complete = false;
}

bool pen_feed_is_ready(const struct pen_feed *self)
{
    return self->call != NULL && pen_call_is_done(self->call);
}

bool pen_feed_is_complete(const struct pen_feed *self)
{
    return self->complete;
}

bool pen_feed_has_moved(const struct pen_feed *self)
{
    return self->moved;
}

const char *pen_feed_damage(const struct pen_feed *self)
{
    return self->damage == NULL ? "" : self->damage;
}

const char *pen_feed_note(const struct pen_feed *self)
{
    return self->spoken || self->note == NULL ? "" : self->note;
}

const char *pen_feed_agent(const struct pen_feed *self)
{
    return self->agent == NULL ? "" : self->agent;
}

static void put(const struct pen_feed *self, const char *bytes, size_t size,
                struct pen_buf *ret_text)
{
    if (self->form == PEN_FEED_LINES)
        pen_text_clean_log(bytes, size, ret_text);
    else
        pen_buf_append(ret_text, bytes, size);
}

/* Move whole lines from rest to ret_text, and of a line that is too long what can be shown; at the
 * end of the log all that is left. */
static void lines_take(struct pen_feed *self, bool all, struct pen_buf *ret_text)
{
    const char *text = pen_buf_text(&self->rest);
    size_t at = 0;
    const char *end;
    while ((end = memchr(text + at, '\n', self->rest.size - at)) != NULL) {
        put(self, text + at, (size_t)(end - text) - at, ret_text);
        pen_buf_putc(ret_text, '\n');
        self->in_line = false;
        at = (size_t)(end - text) + 1;
    }
    size_t left = self->rest.size - at;
    if (all && (left > 0 || self->in_line)) {
        put(self, text + at, left, ret_text);
        pen_buf_putc(ret_text, '\n');
        self->in_line = false;
        at += left;
    } else if (left > LINE_BYTES_MAX) {
        size_t settled = pen_text_log_settled(text + at, left);
        if (settled == 0) /* an escape sequence without an end */
            settled = left;
        put(self, text + at, settled, ret_text);
        self->in_line = true;
        at += settled;
    }
    pen_buf_consume(&self->rest, at);
}

static void bytes_take(struct pen_feed *self, struct pen_buf *ret_text)
{
    pen_buf_append(ret_text, self->rest.data, self->rest.size);
    pen_buf_clear(&self->rest);
}

void pen_feed_part(const struct pen_feed *self, struct pen_buf *ret_text)
{
    const char *text = pen_buf_text(&self->rest);
    if (self->behind)
        return;
    pen_text_clean_log(text, pen_text_log_settled(text, self->rest.size), ret_text);
}

/* The newest attempt's number; its agent is remembered. */
static int64_t newest_attempt(struct pen_feed *self, const json_t *answer)
{
    int64_t newest = 0;
    size_t index;
    json_t *attempt;
    json_array_foreach(pen_json_list(answer, "attempts"), index, attempt)
    {
        int64_t fence = pen_json_number(attempt, "fence");
        if (fence > newest) {
            newest = fence;
            (void)pen_str_set(&self->agent, pen_json_text(attempt, "agentName"));
        }
    }
    return newest;
}

/* From the first answer on ask for the very log that it came from: another execution may start. */
static void request_settle(struct pen_feed *self, const json_t *answer)
{
    json_t *id = json_object_get(answer, "actionExecutionId");
    if (json_is_string(id)) {
        json_object_clear(self->request);
        (void)json_object_set(self->request, "actionExecutionId", id);
    }
    if (self->fence == 0)
        self->fence = pen_json_number(answer, "fence");
}

int pen_feed_take(struct pen_feed *self, struct pen_buf *ret_text, struct pen_error *err)
{
    json_t *answer = NULL;
    self->moved = false;
    int rc = pen_call_finish(&self->call, &answer, err);
    if (rc < 0)
        return rc;
    request_settle(self, answer);
    size_t before = self->rest.size;
    rc = pen_base64_decode(pen_json_text(answer, "data"), &self->rest, err);
    if (rc == 0) {
        self->moved = self->rest.size > before;
        self->spoken = self->spoken || self->moved;
        (void)pen_str_set(&self->note, pen_json_text(answer, "summary"));
        if (self->moved)
            self->offset = pen_json_number(answer, "nextOffset");
        self->behind = self->offset < pen_json_number(answer, "size");
        const char *damage = pen_json_text(answer, "damage"); /* then it is never complete */
        self->complete = (pen_json_flag(answer, "complete") || *damage != 0) && !self->behind;
        if (!pen_str_set(&self->damage, damage))
            rc = pen_fail(err, PEN_ENOMEM, "no memory for a log");
        if (self->form == PEN_FEED_BYTES)
            bytes_take(self, ret_text);
        else
            lines_take(self, self->complete, ret_text);
    }
    int64_t newest = newest_attempt(self, answer);
    if (self->complete && newest > self->fence) { /* that attempt is over; go on with the next */
        self->fence = newest;
        self->offset = 0;
        self->complete = false;
        self->moved = true;
    }
    json_decref(answer);
    return rc < 0 ? rc : pen_buf_ok(ret_text, err);
}
