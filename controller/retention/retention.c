#include "controller/retention/retention.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/retention/internal.h"

enum {
    INBOX_POSTS_MAX = 4096, /* the core waits for room, and a collection looks in now and then */
    FIRST_AFTER_MS = 10 * 60 * 1000, /* a start has other work than to tidy up */
};

/* ---- posts */

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

int retention_post(struct pen_retention *self, Pen__Input **input, struct pen_error *err)
{
    struct pen_post post = {.kind = PEN_POST_INPUT,
                            .number = PEN_THREAD_RETENTION,
                            .body = TAKE_PTR(*input),
                            .destroy = destroy_input};
    int rc = pen_inbox_post_wait(self->actor.core, &post, err);
    if (rc < 0)
        pen_post_release(&post);
    return rc;
}

static void take_effect(struct pen_retention *self, Pen__Effect *effect)
{
    if (effect->what_case == PEN__EFFECT__WHAT_HISTORY_ANSWER) {
        Pen__HistoryAnswer **place =
            effect->history_answer->purged ? &self->purged : &self->decided;
        pen_message_destroy(place);
        *place = TAKE_PTR(effect->history_answer);
        effect->what_case = PEN__EFFECT__WHAT__NOT_SET;
        return;
    }
    if (effect->what_case == PEN__EFFECT__WHAT_MIRRORS_SWEPT) {
        pen_message_destroy(&self->swept);
        self->swept = TAKE_PTR(effect->mirrors_swept);
        effect->what_case = PEN__EFFECT__WHAT__NOT_SET;
        return;
    }
    CHECK(effect->what_case == PEN__EFFECT__WHAT_COLLECTION_RUN);
    if (self->order != NULL && self->order->number == effect->collection_run->number)
        return; /* it is under way: the core has planned anew */
    pen_message_destroy(&self->order);
    self->order = TAKE_PTR(effect->collection_run);
    effect->what_case = PEN__EFFECT__WHAT__NOT_SET;
}

int retention_listen(struct pen_retention *self)
{
    struct pen_post post;
    while (pen_inbox_take(self->actor.inbox, &post, 1) == 1) {
        if (post.kind == PEN_POST_EFFECT)
            take_effect(self, post.body);
        else if (post.kind == PEN_POST_STOP)
            self->actor.stopping = true;
        pen_post_release(&post);
    }
    return self->actor.stopping ? RETENTION_STOPPED : 0;
}

static int wait_for_post(struct pen_retention *self, int timeout_ms, struct pen_error *err)
{
    struct pollfd source = {.fd = pen_inbox_fd(self->actor.inbox), .events = POLLIN};
    if (poll(&source, 1, timeout_ms) < 0 && errno != EINTR)
        return pen_fail_errno(err, "retention cannot wait for its inbox");
    return retention_listen(self);
}

int retention_wait(struct pen_retention *self, int64_t deadline_ms, struct pen_error *err)
{
    int64_t left_ms = deadline_ms - pen_clock_monotonic_ms();
    if (left_ms <= 0)
        return pen_fail(err, PEN_EUNAVAILABLE,
                        "the controller was too busy, or its disk too full, to remove history");
    return wait_for_post(self, (int)left_ms, err);
}

/* ---- one collection */

static int post_done(struct pen_retention *self, struct pen_error *err)
{
    Pen__CollectionDone done = PEN__COLLECTION_DONE__INIT;
    done.has_collection = true;
    done.collection = self->order->number;
    done.report = self->report;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_COLLECTION_DONE;
    input.collection_done = &done;
    Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : retention_post(self, &copy, err);
}

static void log_report(const struct pen_retention *self)
{
    const Pen__CollectionReport *report = self->report;
    const char *what = report->error != NULL  ? "a collection ended before its end"
                       : self->order->dry_run ? "a collection was previewed"
                                              : "a collection has ended";
    pen_log(report->error != NULL ? PEN_LOG_WARNING : PEN_LOG_INFO, what,
            "number=%" PRIu64 " executions=%" PRIu64 " logs=%" PRIu64 " log_bytes=%" PRIu64
            " blobs=%" PRIu64 " blob_bytes=%" PRIu64 " mirrors=%" PRIu64 "%s%s%s",
            self->order->number, report->executions, report->logs, report->log_bytes, report->blobs,
            report->blob_bytes, report->mirrors, report->error != NULL ? " reason=\"" : "",
            report->error != NULL ? report->error : "", report->error != NULL ? "\"" : "");
}

static void forget(struct pen_retention *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->gone); node != NULL;
         node = pen_map_next(node))
        free(pen_map_value(node));
    pen_map_release(&self->gone);
    pen_marks_release(&self->marks);
    pen_message_destroy(&self->report);
}

static int collect(struct pen_retention *self, struct pen_error *err)
{
    self->report = malloc(sizeof *self->report);
    if (self->report == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a collection");
    pen__collection_report__init(self->report);
    struct pen_error why = {0};
    int rc = retention_history(self, &why);
    if (rc == 0)
        rc = retention_files(self, &why);
    if (rc == 0)
        rc = retention_mirrors(self, &why);
    if (rc == RETENTION_STOPPED)
        return 0;
    if (rc < 0 && !pen_str_set(&self->report->error, why.message))
        return pen_fail(err, PEN_ENOMEM, "no memory for a collection");
    log_report(self);
    return post_done(self, err);
}

static int ask_for_one(struct pen_retention *self, struct pen_error *err)
{
    Pen__StartCollection start = PEN__START_COLLECTION__INIT;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_START_COLLECTION;
    input.start_collection = &start;
    Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : retention_post(self, &copy, err);
}

static int turn(void *context, struct pen_error *err)
{
    struct pen_retention *self = context;
    int64_t left_ms = self->next_ms - pen_clock_monotonic_ms();
    if (left_ms <= 0) {
        self->next_ms = pen_clock_monotonic_ms() + self->interval_ms;
        int rc = ask_for_one(self, err);
        if (rc < 0)
            return rc;
        left_ms = self->interval_ms;
    }
    int rc = self->order != NULL
                 ? 0
                 : wait_for_post(self, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms, err);
    if (rc != 0 || self->order == NULL)
        return rc < 0 ? rc : 0;
    rc = collect(self, err);
    forget(self);
    pen_message_destroy(&self->order);
    return rc;
}

/* ---- start and stop */

static int open_blobs(struct pen_retention *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(self->dir, "blobs", &path);
    int rc = pen_buf_ok(&path, err);
    return rc < 0 ? rc : pen_blob_store_open_readonly(pen_buf_text(&path), &self->store, err);
}

int pen_retention_start(const struct pen_retention_options *options,
                        struct pen_retention **ret_retention, struct pen_error *err)
{
    CHECK(options->interval_ms > 0);
    PEN_CLEANUP(pen_retention_stop) struct pen_retention *self = calloc(1, sizeof *self);
    if (self == NULL || !pen_str_set(&self->dir, options->dir))
        return pen_fail(err, PEN_ENOMEM, "no memory for retention");
    self->interval_ms = options->interval_ms;
    self->next_ms = pen_clock_monotonic_ms() +
                    (options->interval_ms < FIRST_AFTER_MS ? options->interval_ms : FIRST_AFTER_MS);
    self->actor = (struct pen_actor){.who = PEN_THREAD_RETENTION,
                                     .name = "retention",
                                     .turn = turn,
                                     .context = self,
                                     .core = options->core};
    int rc = pen_actor_open(&self->actor, INBOX_POSTS_MAX, err);
    if (rc < 0 || (rc = pen_reader_open(self->dir, &self->reader, err)) < 0 ||
        (rc = open_blobs(self, err)) < 0 || (rc = pen_actor_start(&self->actor, err)) < 0)
        return rc;
    *ret_retention = TAKE_PTR(self);
    return 0;
}

struct pen_inbox *pen_retention_inbox(struct pen_retention *self)
{
    return self->actor.inbox;
}

void pen_retention_stop(struct pen_retention **self_p)
{
    struct pen_retention *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_actor_stop(&self->actor);
    forget(self);
    pen_message_destroy(&self->order);
    pen_message_destroy(&self->decided);
    pen_message_destroy(&self->purged);
    pen_message_destroy(&self->swept);
    pen_blob_store_close(&self->store);
    pen_reader_close(&self->reader);
    free(self->dir);
    free(self);
}
