/* GetHealth: answered by the core, so that a controller whose core hangs is not called healthy */
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
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
    size_t enrolled = 0;
    size_t connected = 0;
    for (size_t i = 0; i < reply->n_agents; i++) {
        const Pen__AgentView *view = reply->agents[i];
        if (view->row == NULL || view->row->status != PEN__AGENT_STATUS__AGENT_ENROLLED)
            continue;
        enrolled++;
        connected += view->connected ? 1 : 0;
    }
    json_t *output = pen_output(call);
    pen_put_string(call, output, "version", PEN_VERSION);
    pen_put_string(call, output, "status", "ok");
    pen_put_integer(call, output, "uptimeSeconds",
                    (pen_clock_monotonic_ms() - call->services->started_ms) / 1000);
    pen_put_integer(call, output, "agents", (int64_t)enrolled);
    pen_put_integer(call, output, "connectedAgents", (int64_t)connected);
    pen_put_integer(call, output, "databaseBytes",
                    file_size(call, "penstock.db") + file_size(call, "penstock.db-wal"));
    return 0;
}

int pen_get_health(struct pen_call *call, struct pen_error *err)
{
    Pen__ListAgents *list = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_LIST_AGENTS, &pen__list_agents__descriptor, &list);
    return pen_call_post(call, input, is_alive, err);
}
