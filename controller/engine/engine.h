/* controller/engine/engine.h - the pure heart: inputs in, facts, rows and effects out
 *
 *     input --> engine_step --> facts  --(apply, the only writer)--> state
 *                          \--> rows   the changed entities, for the same transaction
 *                           \-> effects, performed only after the commit
 *
 * No I/O, clock, randomness or thread. The same inputs at the same times with the same seed give
 * the same facts, rows and effects. After a restart the driver loads the live rows and calls
 * pen_engine_plan(), which emits every effect that the state asks for: offers, timers, watches,
 * open attempts, allowed keys. There is no second recovery path.
 *
 * Calling sequence: create, load each live row, plan; then step, commit out, perform out.effects,
 * clear out, for ever. One step may be followed by others before the commit: `out` accumulates.
 */
#ifndef PEN_CONTROLLER_ENGINE_ENGINE_H
#define PEN_CONTROLLER_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "core.pb-c.h"
#include "fact.pb-c.h"
#include "row.pb-c.h"

struct pen_engine;

/* Times in milliseconds; defaults by pen_engine_options_default(). */
struct pen_engine_options {
    const char *account; /* 12 digits */
    const char *region;
    uint8_t seed[32];                 /* of ids and approval tokens */
    int64_t heartbeat_ms;             /* 10,000 */
    int64_t suspect_ms;               /* 30,000: no new grants */
    int64_t lost_ms;                  /* 300,000: attempts of this agent are lost or unproven */
    int64_t accept_ttl_ms;            /* 10,000: an unanswered offer is withdrawn */
    int64_t start_ttl_ms;             /* 60,000 */
    int64_t approval_timeout_ms;      /* 7 days */
    int64_t action_timeout_ms;        /* 55 minutes: a Commands action */
    int64_t request_token_ttl_ms;     /* 24 hours */
    int64_t job_timeout_ms;           /* 24 hours: an action of a custom type, all its jobs */
    int64_t job_visibility_ms;        /* 60,000: an unacknowledged job is offered again */
    int64_t job_continuation_ms;      /* 30,000: before a job that continues another is offered */
    uint32_t pipelines_max;           /* 1,000 */
    uint32_t executions_max;          /* 50: of one QUEUED or PARALLEL pipeline */
    uint32_t parallel_actions_max;    /* 5: of one PARALLEL execution */
    uint32_t webhooks_max;            /* 300 */
    uint32_t action_types_max;        /* 50: custom ones that are not deleted */
    uint32_t polling_pipelines_max;   /* 300 */
    int64_t history_age_ms;           /* 13 months: younger executions stay */
    uint32_t history_count;           /* 50: the newest of each pipeline that stay at any age */
    uint32_t repeatable_attempts_max; /* 2 more attempts after losses */
    uint32_t bulk_port;               /* told to agents in Welcome */
    bool check_invariants;            /* after every step; tests and debug builds */
};

void pen_engine_options_default(struct pen_engine_options *ret_options);

/* A changed row: what the store keeps. Rows of one key within one `out` are merged: last one wins.
 */
struct pen_row {
    Pen__RowKind kind;
    char *key;       /* owned; pipeline, execution and body lie in the same block of memory */
    char *pipeline;  /* NULL when the row belongs to none */
    char *execution; /* NULL when the row belongs to none */
    uint64_t order;  /* newest-first listing within pipeline or execution; 0 when unordered */
    bool live;       /* loaded at restart */
    bool deleted;
    uint8_t *body; /* the packed message; NULL when deleted */
    size_t body_size;
};

/* What came out of one or more steps. The engine fills it; pen_engine_out_clear empties it. */
struct pen_engine_out {
    Pen__Fact **facts; /* owned, in order */
    size_t facts_count;
    size_t facts_capacity;
    struct pen_row *rows;
    size_t rows_count;
    size_t rows_capacity;
    Pen__Effect **effects; /* owned, in order */
    size_t effects_count;
    size_t effects_capacity;
    uint64_t generation; /* the engine's own: tells which rows of this `out` may be merged */
};

void pen_engine_out_clear(struct pen_engine_out *self);
void pen_engine_out_release(struct pen_engine_out *self);

int pen_engine_create(const struct pen_engine_options *options, struct pen_engine **ret_engine,
                      struct pen_error *err);
void pen_engine_destroy(struct pen_engine **self_p);

/* Load one live row that a former life stored. Before plan only. Errors: PEN_ECORRUPT, PEN_ENOMEM.
 */
int pen_engine_load(struct pen_engine *self, Pen__RowKind kind, const uint8_t *body, size_t size,
                    struct pen_error *err);

/* Emit what the loaded state asks for. With no rows loaded, it first creates the database
 * (DatabaseCreated). Also idempotent later: calling it twice emits the same effects and no facts.
 * A driver that had to turn inputs away calls it again, so that what it has missed is said again;
 * agents count as heard at that moment.
 * `now_ms` here and below: wall-clock milliseconds that never go back (the driver sees to it). */
int pen_engine_plan(struct pen_engine *self, int64_t now_ms, struct pen_engine_out *out,
                    struct pen_error *err);

/* One input. A request that breaks a rule is answered by a Reply effect with the API's error name
 * and changes nothing; that is not an error of this function. The engine does not keep `input`.
 * Errors: PEN_ECORRUPT: plan was not called, or did not succeed. When memory runs out the engine
 * ends the process on the spot (CHECK): half a step must not be seen, and the store has the truth.
 */
int pen_engine_step(struct pen_engine *self, const Pen__Input *input, int64_t now_ms,
                    struct pen_engine_out *out, struct pen_error *err);

/* The same without the rows: pen_engine_flush writes those of all steps since, each changed row
 * once. For who commits many steps together; flush before the commit. */
int pen_engine_take(struct pen_engine *self, const Pen__Input *input, int64_t now_ms,
                    struct pen_engine_out *out, struct pen_error *err);
void pen_engine_flush(struct pen_engine *self, struct pen_engine_out *out);

/* Add to a reply's reasons what keeps its host from working (NULL: nothing is known of it): for a
 * driver that cannot step now, and answers by itself who asks why. */
void pen_engine_explain_host(const Pen__HostState *host, int64_t now_ms, Pen__Reply *reply);

/* Whether the input asks only: it leaves no fact and no row. */
bool pen_engine_only_asks(const Pen__Input *input);

/* The time of the last fact, in milliseconds; 0: there is none. After loading, time may not begin
 * before it. */
int64_t pen_engine_time(const struct pen_engine *self);

/* When a Tick is wanted; INT64_MAX for never. */
int64_t pen_engine_deadline(const struct pen_engine *self);

/* Apply one stored fact, in the order of the facts, to an engine that began empty: for replay tests
 * and audits. Nothing follows from it but state. Errors: PEN_ECORRUPT. */
int pen_engine_replay(struct pen_engine *self, const Pen__Fact *fact, struct pen_error *err);

/* The same, and add the rows that the fact has changed to `out`. Folding all facts into one `out`
 * gives every row that was ever written, as it was last written. */
int pen_engine_fold(struct pen_engine *self, const Pen__Fact *fact, struct pen_engine_out *out,
                    struct pen_error *err);

/* Hand every row of the current state to `each`, in order of kind and key: for audits. */
int pen_engine_rows(struct pen_engine *self, int (*each)(void *context, const struct pen_row *row),
                    void *context, struct pen_error *err);

#endif
