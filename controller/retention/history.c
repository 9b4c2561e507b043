/* Executions that may go. Age, count and deletion are judged here from a snapshot, so that not all
 * of history has to pass through the core; what is needed, the engine alone knows. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/wire/wire.h"
#include "controller/retention/internal.h"

enum {
    PAGE = 1000,            /* rows of one read */
    ATTEMPTS_MAX = 10000,   /* of one execution, whose logs are counted */
    ANSWER_MS = 120 * 1000, /* the core is busy, or its disk is full: the next collection goes on */
    PURGE_MS = 600 * 1000,
};

struct candidate {
    char id[40];
    struct tally *tally;
    bool former; /* of a deleted pipeline */
    uint64_t order;
    int64_t started_ms;
    int64_t updated_ms;
    uint32_t newer;
    uint64_t artifacts;
    uint64_t logs;
    uint64_t log_bytes;
};

/* A pipeline by its name. */
struct tally {
    char *name;
    bool exists;
    uint64_t created_order;
    int64_t created_ms;
    uint32_t executions; /* seen, of the pipeline that exists */
};

struct scan {
    struct pen_retention *self;
    struct pen_map tallies; /* name -> tally */
    struct candidate *candidates;
    size_t count;
    size_t capacity;
    uint64_t before; /* order of the last execution that was seen; 0: none */
    size_t rows;     /* of this page */
    char after[300]; /* key of the last pipeline that was seen */
};

/* ---- looking */

static int tally_of(struct scan *scan, const char *name, struct tally **ret_tally,
                    struct pen_error *err)
{
    struct tally *tally = pen_map_get(&scan->tallies, pen_key_text(name));
    if (tally == NULL) {
        tally = calloc(1, sizeof *tally);
        if (tally == NULL || (tally->name = strdup(name)) == NULL ||
            pen_map_put(&scan->tallies, pen_key_text(tally->name), tally, NULL) < 0) {
            if (tally != NULL)
                free(tally->name);
            free(tally);
            return pen_fail(err, PEN_ENOMEM, "no memory for a collection");
        }
    }
    *ret_tally = tally;
    return 0;
}

static int see_pipeline(void *context, const char *key, const ProtobufCMessage *row,
                        struct pen_error *err)
{
    struct scan *scan = context;
    const Pen__PipelineRow *pipeline = (const Pen__PipelineRow *)row;
    struct tally *tally = NULL;
    int rc = tally_of(scan, pipeline->name, &tally, err);
    if (rc < 0)
        return rc;
    CHECK(tally != NULL);
    tally->exists = true;
    tally->created_order = pipeline->created_order;
    tally->created_ms = pipeline->created_ms;
    scan->rows++;
    (void)pen_str_copy(scan->after, sizeof scan->after, key);
    return 0;
}

static bool has_ended(const Pen__ExecutionRow *row)
{
    return row->status != PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS &&
           row->status != PEN__EXECUTION_STATUS__EXECUTION_STOPPING;
}

static int add_candidate(struct scan *scan, const Pen__ExecutionRow *row, struct tally *tally,
                         bool former, uint32_t newer, struct pen_error *err)
{
    if (scan->count == PEN_LIMIT_COLLECTION_EXECUTIONS) {
        scan->self->report->has_more = scan->self->report->more = true;
        return 0;
    }
    if (scan->count == scan->capacity) {
        size_t capacity = scan->capacity == 0 ? 256 : scan->capacity * 2;
        struct candidate *grown =
            reallocarray(scan->candidates, capacity, sizeof scan->candidates[0]);
        if (grown == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for %zu executions", capacity);
        scan->candidates = grown;
        scan->capacity = capacity;
    }
    struct candidate *candidate = &scan->candidates[scan->count++];
    *candidate = (struct candidate){.tally = tally,
                                    .former = former,
                                    .order = row->order,
                                    .started_ms = row->started_ms,
                                    .updated_ms = row->updated_ms,
                                    .newer = newer,
                                    .artifacts = row->n_artifacts};
    (void)pen_str_copy(candidate->id, sizeof candidate->id, row->id);
    return 0;
}

/* They come newest first. */
static int see_execution(void *context, const char *key, const ProtobufCMessage *message,
                         struct pen_error *err)
{
    (void)key;
    struct scan *scan = context;
    const Pen__ExecutionRow *row = (const Pen__ExecutionRow *)message;
    const Pen__CollectionRun *order = scan->self->order;
    scan->before = row->order;
    scan->rows++;
    struct tally *tally = NULL;
    int rc = tally_of(scan, row->pipeline == NULL ? "" : row->pipeline, &tally, err);
    if (rc < 0)
        return rc;
    CHECK(tally != NULL);
    bool former =
        !tally->exists || row->order <= tally->created_order || row->started_ms < tally->created_ms;
    if (former)
        return has_ended(row) ? add_candidate(scan, row, tally, true, 0, err) : 0;
    uint32_t newer = tally->executions++;
    if (!has_ended(row) || newer < order->history_count ||
        row->updated_ms > order->now_ms - order->history_age_ms)
        return 0;
    return add_candidate(scan, row, tally, false, newer, err);
}

static int scan_all(struct scan *scan, struct pen_error *err)
{
    struct pen_retention *self = scan->self;
    int rc;
    do {
        const struct pen_list_query query = {
            .kind = PEN__ROW_KIND__ROW_PIPELINE, .after_key = scan->after, .limit = PAGE};
        scan->rows = 0;
        if ((rc = pen_reader_list(self->reader, &query, see_pipeline, scan, err)) < 0)
            return rc;
    } while (scan->rows == PAGE);
    do {
        const struct pen_list_query query = {
            .kind = PEN__ROW_KIND__ROW_EXECUTION, .before_order = scan->before, .limit = PAGE};
        scan->rows = 0;
        if ((rc = retention_listen(self)) != 0 ||
            (rc = pen_reader_list(self->reader, &query, see_execution, scan, err)) < 0)
            return rc;
    } while (scan->rows == PAGE && scan->before > 0);
    return 0;
}

/* ---- what an execution takes with it */

struct weighing {
    const struct pen_retention *self;
    struct candidate *candidate;
};

static int weigh_attempt(void *context, const char *key, const ProtobufCMessage *row,
                         struct pen_error *err)
{
    (void)key;
    (void)err;
    struct weighing *weighing = context;
    uint64_t size = 0;
    if (retention_log_size(weighing->self, ((const Pen__AttemptRow *)row)->fence, &size)) {
        weighing->candidate->logs++;
        weighing->candidate->log_bytes += size;
    }
    return 0;
}

static int weigh(struct pen_retention *self, struct candidate *candidate, struct pen_error *err)
{
    struct weighing weighing = {.self = self, .candidate = candidate};
    const struct pen_list_query query = {
        .kind = PEN__ROW_KIND__ROW_ATTEMPT, .execution = candidate->id, .limit = ATTEMPTS_MAX};
    return pen_reader_list(self->reader, &query, weigh_attempt, &weighing, err);
}

/* ---- offering */

static int offer(struct pen_retention *self, const struct candidate *first, size_t count,
                 struct pen_error *err)
{
    Pen__RemovalCandidate parts[PEN_LIMIT_REMOVAL_BATCH];
    Pen__RemovalCandidate *list[PEN_LIMIT_REMOVAL_BATCH];
    for (size_t i = 0; i < count; i++) {
        pen__removal_candidate__init(&parts[i]);
        parts[i].execution_id = (char *)first[i].id;
        parts[i].has_order = parts[i].has_started_ms = parts[i].has_updated_ms = true;
        parts[i].order = first[i].order;
        parts[i].started_ms = first[i].started_ms;
        parts[i].updated_ms = first[i].updated_ms;
        parts[i].has_newer = true;
        parts[i].newer = first[i].newer;
        list[i] = &parts[i];
    }
    Pen__RemoveHistory request = PEN__REMOVE_HISTORY__INIT;
    request.has_collection = request.has_batch = true;
    request.collection = self->order->number;
    request.batch = ++self->batch;
    request.pipeline = first->tally->name;
    request.n_candidates = count;
    request.candidates = list;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_REMOVE_HISTORY;
    input.remove_history = &request;
    Pen__Input *copy = NULL;
    int rc = pen_wire_copy(&input, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : retention_post(self, &copy, err);
}

/* Until the core has decided, and what it has removed is purged. */
static int await(struct pen_retention *self, struct pen_error *err)
{
    int rc = 0;
    int64_t deadline_ms = pen_clock_monotonic_ms() + ANSWER_MS;
    while (rc == 0 && (self->decided == NULL || self->decided->batch != self->batch))
        rc = retention_wait(self, deadline_ms, err);
    deadline_ms = pen_clock_monotonic_ms() + PURGE_MS;
    while (rc == 0 && self->decided->removal != 0 &&
           (self->purged == NULL || self->purged->removal != self->decided->removal))
        rc = retention_wait(self, deadline_ms, err);
    return rc;
}

static Pen__CollectedPipeline *line_of(struct pen_retention *self, const struct candidate *first)
{
    Pen__CollectionReport *report = self->report;
    if (report->n_pipelines > 0) {
        Pen__CollectedPipeline *last = report->pipelines[report->n_pipelines - 1];
        if (last->deleted == first->former && pen_str_equal(last->pipeline, first->tally->name))
            return last;
    }
    if (report->n_pipelines == PEN_LIMIT_COLLECTION_LINES)
        return NULL; /* only the sums know of the rest */
    Pen__CollectedPipeline *line = malloc(sizeof *line);
    Pen__CollectedPipeline **lines =
        reallocarray(report->pipelines, report->n_pipelines + 1, sizeof lines[0]);
    if (lines != NULL)
        report->pipelines = lines;
    if (line == NULL || lines == NULL) {
        free(line);
        return NULL;
    }
    pen__collected_pipeline__init(line);
    line->pipeline = strdup(first->tally->name);
    line->has_deleted = line->deleted = first->former;
    line->has_executions = line->has_logs = line->has_log_bytes = line->has_artifacts = true;
    lines[report->n_pipelines++] = line;
    return line;
}

static int count_gone(struct pen_retention *self, const struct candidate *first, size_t count,
                      struct pen_error *err)
{
    Pen__CollectedPipeline *line = NULL;
    const Pen__HistoryAnswer *answer = self->decided;
    for (size_t i = 0; i < answer->n_execution_ids; i++) {
        const struct candidate *candidate = first;
        while (candidate < first + count && !pen_str_equal(candidate->id, answer->execution_ids[i]))
            candidate++;
        if (candidate == first + count)
            continue;
        if (line == NULL)
            line = line_of(self, first);
        self->report->executions++;
        self->report->artifacts += candidate->artifacts;
        if (line != NULL) {
            line->executions++;
            line->logs += candidate->logs;
            line->log_bytes += candidate->log_bytes;
            line->artifacts += candidate->artifacts;
        }
        if (!self->order->dry_run)
            continue;
        char *id = strdup(candidate->id); /* its rows are there, and are not to count */
        if (id == NULL || pen_map_put(&self->gone, pen_key_text(id), id, NULL) < 0) {
            free(id);
            return pen_fail(err, PEN_ENOMEM, "no memory for a collection");
        }
    }
    return 0;
}

static int offer_batch(struct pen_retention *self, struct candidate *first, size_t count,
                       struct pen_error *err)
{
    int rc = retention_listen(self);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = weigh(self, &first[i], err);
    if (rc != 0 || (rc = offer(self, first, count, err)) != 0 || (rc = await(self, err)) != 0)
        return rc;
    return count_gone(self, first, count, err);
}

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *first = a;
    const struct candidate *second = b;
    int names = strcmp(first->tally->name, second->tally->name);
    if (names != 0)
        return names;
    if (first->former != second->former)
        return first->former ? -1 : 1;
    return first->order < second->order ? -1 : first->order > second->order ? 1 : 0;
}

static int offer_all(struct scan *scan, struct pen_error *err)
{
    int rc = 0;
    if (scan->count > 0)
        qsort(scan->candidates, scan->count, sizeof scan->candidates[0], compare_candidates);
    for (size_t at = 0; rc == 0 && at < scan->count;) {
        const struct candidate *first = &scan->candidates[at];
        size_t count = 1;
        while (at + count < scan->count && count < PEN_LIMIT_REMOVAL_BATCH &&
               first[count].tally == first->tally && first[count].former == first->former)
            count++;
        rc = offer_batch(scan->self, &scan->candidates[at], count, err);
        at += count;
    }
    return rc;
}

static void scan_release(struct scan *scan)
{
    for (struct pen_map_node *node = pen_map_first(&scan->tallies); node != NULL;
         node = pen_map_next(node)) {
        struct tally *tally = pen_map_value(node);
        free(tally->name);
        free(tally);
    }
    pen_map_release(&scan->tallies);
    free(scan->candidates);
}

int retention_history(struct pen_retention *self, struct pen_error *err)
{
    PEN_CLEANUP(scan_release) struct scan scan = {.self = self};
    self->report->has_executions = self->report->has_artifacts = true;
    int rc = pen_reader_begin(self->reader, err);
    if (rc < 0)
        return rc;
    rc = scan_all(&scan, err);
    pen_reader_end(self->reader);
    return rc != 0 ? rc : offer_all(&scan, err);
}
