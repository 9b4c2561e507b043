/* GetHealth: answered by the core, so that a controller whose core hangs is not called healthy */
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/wire/wire.h"
#include "controller/artifacts/layout.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"

static int64_t file_size(const struct pen_call *call, const char *name)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(call->services->dir, name, &path);
    struct stat facts;
    return stat(pen_buf_text(&path), &facts) < 0 ? 0 : (int64_t)facts.st_size;
}

static int is_alive(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    json_t *output = pen_output(call);
    pen_put_string(call, output, "version", PEN_VERSION);
    pen_put_string(call, output, "status", reply->n_reasons == 0 ? "ok" : "degraded");
    pen_put_integer(call, output, "uptimeSeconds",
                    (pen_clock_monotonic_ms() - call->services->started_ms) / 1000);
    if (reply->health != NULL) {
        pen_put_integer(call, output, "agents", reply->health->agents);
        pen_put_integer(call, output, "connectedAgents", reply->health->connected_agents);
        pen_put_integer(call, output, "queuedActions", reply->health->queued_actions);
    }
    pen_put_integer(call, output, "databaseBytes",
                    file_size(call, "penstock.db") + file_size(call, "penstock.db-wal"));
    pen_put_reasons(call, reply);
    return 0;
}

/* ---- sources that cannot be looked at */

enum {
    ROWS_AT_ONCE = 1000,
    TROUBLES_MAX = 100, /* in one answer: more have one cause, or want `penstock why` */
};

struct troubles {
    struct pen_call *call;
    json_t *list;
    struct pen_buf last; /* key of the last row */
    size_t rows;
};

static int take_row(void *context, const char *key, const ProtobufCMessage *row,
                    struct pen_error *err)
{
    struct troubles *self = context;
    const Pen__PipelineRow *pipeline = (const Pen__PipelineRow *)row;
    self->rows++;
    pen_buf_clear(&self->last);
    pen_buf_puts(&self->last, key);
    for (size_t i = 0; i < pipeline->n_watched; i++) {
        const Pen__WatchedSource *watched = pipeline->watched[i];
        if (watched->trouble == NULL || json_array_size(self->list) == TROUBLES_MAX)
            continue;
        json_t *one = pen_add_object(self->call, self->list);
        pen_put_string(self->call, one, "pipelineName", pipeline->name);
        pen_put_string(self->call, one, "stageName", watched->stage);
        pen_put_string(self->call, one, "actionName", watched->action);
        pen_put_time(self->call, one, "since", watched->trouble_since_ms);
        pen_put_string(self->call, one, "trouble", watched->trouble);
    }
    return pen_buf_ok(&self->last, err);
}

static int put_troubles(struct pen_call *call, struct pen_error *err)
{
    struct troubles troubles = {.call = call,
                                .list = pen_put_list(call, pen_output(call), "sourceTroubles")};
    int rc = 0;
    do {
        troubles.rows = 0;
        PEN_CLEANUP(pen_buf_release) struct pen_buf after = troubles.last;
        troubles.last = (struct pen_buf){0};
        const struct pen_list_query query = {
            .kind = PEN__ROW_KIND__ROW_PIPELINE,
            .after_key = after.size > 0 ? pen_buf_text(&after) : NULL,
            .limit = ROWS_AT_ONCE,
        };
        rc = pen_reader_list(call->services->reader, &query, take_row, &troubles, err);
    } while (rc == 0 && troubles.rows == ROWS_AT_ONCE);
    pen_buf_release(&troubles.last);
    return rc;
}

int pen_get_health(struct pen_call *call, struct pen_error *err)
{
    Pen__GetHealth *get = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_GET_HEALTH, &pen__get_health__descriptor, &get);
    int rc = input == NULL ? 0 : put_troubles(call, err);
    if (rc < 0) {
        pen_message_destroy(&input);
        return rc;
    }
    return pen_call_post(call, input, is_alive, err);
}
