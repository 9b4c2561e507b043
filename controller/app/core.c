#include "controller/app/core.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/steady.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/app/purge.h"
#include "controller/app/route.h"
#include "controller/post/post.h"

enum {
    BATCH_MAX = 256,          /* inputs in one commit: bounds how long a reply waits for others */
    SPACE_RETRY_MS = 1000,    /* between two tries while the disk is full */
    IDLE_CHECKPOINT_MS = 500, /* this long without work: move the write-ahead log home */
    CLOCK_CHANGE_MS = 1000,   /* so much closer or farther: the engine is to know */
};

struct pen_core {
    struct pen_core_options with;
    struct pen_engine_out out;
    struct pen_steady clock;
    struct pen_purge *purge;
    bool purge_held;    /* the disk was full: not before there is space */
    int64_t behind_ms;  /* as the engine was told last: the wall clock behind its time */
    int64_t planned_ms; /* to wait, until the clock is read next */
    bool disk_full;     /* new requests are refused */
    bool commit_held;   /* `out` waits for space */
    bool plan_due;      /* something cannot have been heard: ask again, and count no silence */
    bool checkpoint_due;
};

int pen_core_create(const struct pen_core_options *options, struct pen_core **ret_core,
                    struct pen_error *err)
{
    struct pen_core *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the core");
    self->with = *options;
    int rc = pen_purge_create(&self->purge, err);
    if (rc < 0) {
        free(self);
        return rc;
    }
    int64_t wall_ms = pen_clock_wall_ms();
    int64_t last_ms = pen_engine_time(options->engine);
    pen_steady_start(&self->clock, last_ms > wall_ms ? last_ms : wall_ms, pen_clock_monotonic_ms());
    *ret_core = self;
    return 0;
}

void pen_core_destroy(struct pen_core **self_p)
{
    if (*self_p == NULL)
        return;
    pen_engine_out_release(&(*self_p)->out);
    pen_purge_destroy(&(*self_p)->purge);
    free(*self_p);
    *self_p = NULL;
}

/* Say once what is odd about the wall clock, and once when it is over. */
static void say_clock(const struct pen_core *self, bool was_doubted)
{
    const struct pen_steady *clock = &self->clock;
    if (clock->doubted && !was_doubted)
        pen_log(PEN_LOG_WARNING,
                "the clock was set forward: the change counts when it has stood for a while",
                "ahead_ms=%" PRId64 " while_ms=%" PRId64, clock->wall_ms - clock->now_ms,
                pen_steady_proof_ms(clock->wall_ms - clock->now_ms));
    if (!clock->doubted && was_doubted && clock->wall_ms > clock->now_ms - PEN_STEADY_LEAP_MS)
        pen_log(PEN_LOG_INFO, "the clock is right again, or was proven", "now_ms=%" PRId64,
                clock->now_ms);
}

/* The engine's time. After a leap the state is planned anew, as after a start: agents that could
 * not be heard meanwhile are not lost. */
static int64_t steady_now_ms(struct pen_core *self)
{
    bool doubted = self->clock.doubted;
    if (pen_steady_read(&self->clock, pen_clock_wall_ms(), pen_clock_monotonic_ms(),
                        self->planned_ms)) {
        pen_log(PEN_LOG_WARNING, "time has leapt: agents' silence counts from now",
                "now_ms=%" PRId64, self->clock.now_ms);
        self->plan_due = true;
    }
    say_clock(self, doubted);
    self->planned_ms = 0;
    return self->clock.now_ms;
}

/* Tell the engine how far the wall clock is behind its time, when that has changed. */
static int tell_clock(struct pen_core *self, int64_t now_ms, struct pen_error *err)
{
    int64_t behind_ms = pen_steady_behind_ms(&self->clock);
    behind_ms = behind_ms < CLOCK_CHANGE_MS ? 0 : behind_ms;
    int64_t change_ms = behind_ms - self->behind_ms;
    if (change_ms == 0 ||
        (behind_ms > 0 && change_ms > -CLOCK_CHANGE_MS && change_ms < CLOCK_CHANGE_MS))
        return 0;
    if (change_ms > CLOCK_CHANGE_MS)
        pen_log(PEN_LOG_WARNING,
                "the clock is behind the time of what is recorded: times go on a little slower",
                "behind_ms=%" PRId64, behind_ms);
    self->behind_ms = behind_ms;
    Pen__ClockSet clock_set = PEN__CLOCK_SET__INIT;
    clock_set.has_behind_ms = true;
    clock_set.behind_ms = behind_ms;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_CLOCK_SET;
    input.clock_set = &clock_set;
    return pen_engine_take(self->with.engine, &input, now_ms, &self->out, err);
}

/* Whether the disk has room for another batch; says so once when that changes. */
static bool has_space(struct pen_core *self)
{
    struct statvfs disk;
    bool full = false;
    if (statvfs(self->with.dir, &disk) == 0)
        full = (uint64_t)disk.f_bavail * disk.f_frsize < self->with.reserve_bytes;
    full = full || self->commit_held;
    if (full && !self->disk_full)
        pen_log(PEN_LOG_ERROR, "disk full: refusing new work until there is space", "dir=%s",
                self->with.dir);
    if (!full && self->disk_full)
        pen_log(PEN_LOG_INFO, "disk has space again: serving", "dir=%s", self->with.dir);
    self->disk_full = full;
    return !full;
}

/* Commit what the steps made, then perform it. PEN_ENOSPACE keeps it for the next try. */
static int commit(struct pen_core *self, struct pen_error *err)
{
    pen_engine_flush(self->with.engine, &self->out);
    int rc = pen_store_commit(self->with.store, &self->out, err);
    if (rc == PEN_ENOSPACE) {
        self->commit_held = true;
        return 0;
    }
    if (rc < 0)
        return rc;
    self->commit_held = false;
    self->checkpoint_due = self->checkpoint_due || self->out.facts_count > 0;

    const struct pen_routes routes = {.dispatch = self->with.dispatch,
                                      .data = self->with.data,
                                      .http = self->with.http,
                                      .sources = self->with.sources,
                                      .retention = self->with.retention};
    rc = pen_route_committed(&routes, &self->out, err);
    if (rc == 0)
        rc = pen_purge_take(self->purge, &self->out, err);
    if (rc == 0)
        rc = pen_route_effects(&routes, &self->out, err);
    pen_engine_out_clear(&self->out);
    return rc;
}

int pen_core_plan(struct pen_core *self, struct pen_error *err)
{
    int rc = pen_engine_plan(self->with.engine, steady_now_ms(self), &self->out, err);
    return rc < 0 ? rc : commit(self, err);
}

int pen_core_submit(struct pen_core *self, const Pen__Input *input, struct pen_error *err)
{
    int rc = pen_engine_take(self->with.engine, input, steady_now_ms(self), &self->out, err);
    if (rc < 0 || (rc = commit(self, err)) < 0)
        return rc;
    if (self->commit_held)
        return pen_fail(err, PEN_ENOSPACE, "no space in '%s'", self->with.dir);
    return 0;
}

/* How the host does, for a question about that. */
static void tell_host(struct pen_core *self, Pen__HostState *ret_host)
{
    struct statvfs disk;
    *ret_host = (Pen__HostState)PEN__HOST_STATE__INIT;
    ret_host->has_disk_full = ret_host->has_ahead_ms = ret_host->has_reserve_bytes = true;
    ret_host->disk_full = self->disk_full;
    ret_host->ahead_ms = self->clock.now_ms - pen_clock_wall_ms();
    ret_host->reserve_bytes = (int64_t)self->with.reserve_bytes;
    ret_host->dir = (char *)(uintptr_t)self->with.dir;
    ret_host->has_free_bytes = statvfs(self->with.dir, &disk) == 0;
    if (ret_host->has_free_bytes)
        ret_host->free_bytes = (int64_t)((uint64_t)disk.f_bavail * disk.f_frsize);
}

/* What the engine has in memory is not on disk yet, so it is not shown; but why nothing goes on is
 * no secret. */
static int answer_held(struct pen_core *self, const Pen__Input *input, struct pen_error *err)
{
    Pen__HostState host;
    Pen__Reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an answer");
    pen__reply__init(reply);
    reply->has_correlation = true;
    reply->correlation = input->correlation;
    tell_host(self, &host);
    pen_engine_explain_host(&host, self->clock.now_ms, reply);
    return pen_route_reply(self->with.http, reply, err);
}

/* A question that changes nothing needs no space. */
static int ask(struct pen_core *self, Pen__Input *input, int64_t now_ms, struct pen_error *err)
{
    Pen__HostState host;
    tell_host(self, &host);
    if (input->what_case == PEN__INPUT__WHAT_GET_HEALTH)
        input->get_health->host = &host;
    else if (input->what_case == PEN__INPUT__WHAT_EXPLAIN)
        input->explain->host = &host;
    int rc = pen_engine_take(self->with.engine, input, now_ms, &self->out, err);
    if (input->what_case == PEN__INPUT__WHAT_GET_HEALTH)
        input->get_health->host = NULL;
    else if (input->what_case == PEN__INPUT__WHAT_EXPLAIN)
        input->explain->host = NULL;
    return rc;
}

/* Requests that cannot be made durable are refused at once. Agents say again what was not
 * acknowledged; sources and the data plane say it once, and are asked anew by the plan. */
static int refuse(struct pen_core *self, const struct pen_post *post, struct pen_error *err)
{
    const Pen__Input *input = post->body;
    if (input->correlation == 0) {
        self->plan_due = true;
        return 0;
    }
    return pen_route_refusal(self->with.http, input->correlation, "ServiceUnavailableException",
                             "The controller's disk is full, so nothing can be made durable. "
                             "Free some space under its data folder and try again.",
                             err);
}

/* What makes space is taken as long as it can be committed at all: of the reserve. */
static bool makes_space(const Pen__Input *input)
{
    return input->what_case == PEN__INPUT__WHAT_START_COLLECTION ||
           input->what_case == PEN__INPUT__WHAT_REMOVE_HISTORY ||
           input->what_case == PEN__INPUT__WHAT_SWEEP_MIRRORS ||
           input->what_case == PEN__INPUT__WHAT_MIRRORS_SWEPT ||
           input->what_case == PEN__INPUT__WHAT_COLLECTION_DONE;
}

static int take_question(struct pen_core *self, const struct pen_post *post, int64_t now_ms,
                         struct pen_error *err)
{
    Pen__Input *input = post->body;
    if (!self->commit_held)
        return ask(self, input, now_ms, err);
    return input->what_case == PEN__INPUT__WHAT_LIST_AGENTS ? refuse(self, post, err)
                                                            : answer_held(self, input, err);
}

static int take_post(struct pen_core *self, const struct pen_post *post, int64_t now_ms,
                     struct pen_error *err)
{
    switch (post->kind) {
    case PEN_POST_INPUT:
        if (pen_engine_only_asks(post->body))
            return take_question(self, post, now_ms, err);
        if (self->disk_full && (self->commit_held || !makes_space(post->body)))
            return refuse(self, post, err);
        return pen_engine_take(self->with.engine, post->body, now_ms, &self->out, err);
    case PEN_POST_FAILED: {
        const struct pen_error *failure = post->body;
        return pen_fail(err, failure->code, "%s", failure->message);
    }
    default:
        return pen_fail(err, PEN_EINVAL, "the core got a post of unknown kind %d", post->kind);
    }
}

static int step_inbox(struct pen_core *self, int64_t now_ms, struct pen_error *err)
{
    struct pen_post posts[BATCH_MAX];
    size_t count = pen_inbox_take(self->with.inbox, posts, BATCH_MAX);
    int rc = 0;
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            rc = take_post(self, &posts[i], now_ms, err);
        pen_post_release(&posts[i]);
    }
    return rc;
}

static int step_timers(struct pen_core *self, int64_t now_ms, struct pen_error *err)
{
    if (self->disk_full || pen_engine_deadline(self->with.engine) > now_ms)
        return 0;
    Pen__Tick tick = PEN__TICK__INIT;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_TICK;
    input.tick = &tick;
    return pen_engine_take(self->with.engine, &input, now_ms, &self->out, err);
}

/* Delete a little of the history that was removed. */
static int step_purge(struct pen_core *self, int64_t now_ms, struct pen_error *err)
{
    if (self->commit_held || !pen_purge_due(self->purge))
        return 0;
    PEN_CLEANUP(pen_message_destroy) Pen__Input *gone = NULL;
    int rc = pen_purge_slice(self->purge, self->with.store, &gone, err);
    self->purge_held = rc == PEN_ENOSPACE;
    if (rc == PEN_ENOSPACE || (rc == 0 && gone == NULL))
        return 0;
    self->checkpoint_due = true;
    return rc < 0 ? rc : pen_engine_take(self->with.engine, gone, now_ms, &self->out, err);
}

/* One turn. Nothing that a step decided is seen outside before it is on disk. */
static int turn(struct pen_core *self, struct pen_error *err)
{
    if (self->commit_held) {
        int rc = commit(self, err);
        if (rc < 0)
            return rc;
    }
    bool space = has_space(self);
    int64_t now_ms = steady_now_ms(self);
    int rc = 0;
    if (space && self->plan_due) {
        self->plan_due = false;
        rc = pen_engine_plan(self->with.engine, now_ms, &self->out, err);
    }
    if (rc == 0 && space)
        rc = tell_clock(self, now_ms, err);
    if (rc < 0 || (rc = step_inbox(self, now_ms, err)) < 0 ||
        (rc = step_timers(self, now_ms, err)) < 0 || (rc = step_purge(self, now_ms, err)) < 0)
        return rc;
    return self->commit_held ? 0 : commit(self, err);
}

static int wait_ms(struct pen_core *self)
{
    if (self->commit_held)
        return SPACE_RETRY_MS;
    if (pen_purge_due(self->purge) && !self->purge_held)
        return 0;
    if (self->disk_full)
        return SPACE_RETRY_MS;
    int64_t limit_ms = self->checkpoint_due ? IDLE_CHECKPOINT_MS : INT32_MAX;
    int64_t deadline_ms = pen_engine_deadline(self->with.engine);
    if (deadline_ms != INT64_MAX) {
        int64_t until_ms = deadline_ms - steady_now_ms(self);
        if (until_ms < limit_ms)
            limit_ms = until_ms;
    }
    int64_t proof_ms = pen_steady_due_ms(&self->clock);
    if (proof_ms != INT64_MAX && proof_ms - pen_clock_monotonic_ms() < limit_ms)
        limit_ms = proof_ms - pen_clock_monotonic_ms();
    if (limit_ms < 0 || self->plan_due)
        return 0;
    if (self->purge_held && limit_ms > SPACE_RETRY_MS)
        return SPACE_RETRY_MS;
    return limit_ms >= INT32_MAX ? -1 : (int)limit_ms;
}

/* Nothing came for a while: a good moment to shorten the write-ahead log. */
static void idle(struct pen_core *self)
{
    if (!self->checkpoint_due || self->commit_held)
        return;
    struct pen_error err;
    if (pen_store_checkpoint(self->with.store, &err) < 0)
        pen_log(PEN_LOG_WARNING, "checkpoint failed", "reason=%s", err.message);
    self->checkpoint_due = false;
}

int pen_core_run(struct pen_core *self, int stop_fd, struct pen_error *err)
{
    struct pollfd ready[2] = {{.fd = pen_inbox_fd(self->with.inbox), .events = POLLIN},
                              {.fd = stop_fd, .events = POLLIN}};
    for (;;) {
        int timeout_ms = wait_ms(self);
        self->planned_ms = timeout_ms < 0 ? INT64_MAX : timeout_ms;
        int count = poll(ready, 2, timeout_ms);
        if (count < 0 && errno != EINTR)
            return pen_fail_errno(err, "the core cannot wait for its inbox");
        if (count > 0 && (ready[1].revents & POLLIN) != 0)
            return 0;
        if (count == 0 && pen_engine_deadline(self->with.engine) > steady_now_ms(self))
            idle(self);
        int rc = turn(self, err);
        if (rc < 0)
            return rc;
    }
}
