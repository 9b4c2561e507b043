#include "cli/work.h"

#include <string.h>

#include "cli/text.h"
#include "common/io/clock.h"

int pen_work_list(struct pen_cli *cli, json_t **ret_agents, struct pen_error *err)
{
    return pen_cli_call_pages(cli, PEN_SERVICE_PENSTOCK, "ListAgents", json_object(), "agents",
                              ret_agents, err);
}

bool pen_work_next(const json_t *agents, size_t *position, struct pen_work *ret_work)
{
    size_t at = 0;
    size_t index;
    json_t *agent;
    json_array_foreach(pen_json_list(agents, "agents"), index, agent)
    {
        const json_t *list = pen_json_list(agent, "work");
        if (*position < at + json_array_size(list)) {
            ret_work->agent = agent;
            ret_work->work = json_array_get(list, *position - at);
            (*position)++;
            return true;
        }
        at += json_array_size(list);
    }
    return false;
}

static const char *verb(const char *state)
{
    static const char *const words[][2] = {
        {"Offered", "is offered to"},
        {"Starting", "is being started on"},
        {"Running", "runs on"},
        {"Ending", "is being ended on"},
        {"Revoking", "was asked back of"},
        {"HandingIn", "has ended, and hands in from"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(state, words[i][0]) == 0)
            return words[i][1];
    return "may or may not have run, or may still run, on";
}

void pen_work_say(const struct pen_work *self, struct pen_buf *text)
{
    pen_text_clean(pen_json_text(self->work, "stageName"), text);
    pen_buf_putc(text, '/');
    pen_text_clean(pen_json_text(self->work, "actionName"), text);
    pen_buf_printf(text, " %s agent '", verb(pen_json_text(self->work, "state")));
    pen_text_clean(pen_json_text(self->agent, "name"), text);
    pen_buf_puts(text, "', given to it ");
    pen_text_age(pen_json_time_ms(self->work, "since"), pen_clock_wall_ms(), text);
    pen_buf_puts(text, " (class ");
    pen_text_clean(pen_json_text(self->work, "class"), text);
    pen_buf_puts(text, pen_json_flag(self->work, "abandoned") ? ", given up)" : ")");
}
