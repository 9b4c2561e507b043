#include "cli/state.h"

#include <string.h>

#include "cli/text.h"

int pen_state_get(struct pen_cli *cli, const char *pipeline, json_t **ret_state,
                  struct pen_error *err)
{
    return pen_cli_call(cli, PEN_SERVICE_CODEPIPELINE, "GetPipelineState",
                        json_pack("{s:s}", "name", pipeline), ret_state, err);
}

bool pen_state_next(const json_t *state, size_t *position, struct pen_state_action *ret_action)
{
    size_t seen = 0;
    size_t s;
    json_t *stage;
    json_array_foreach(pen_json_list(state, "stageStates"), s, stage)
    {
        json_t *actions = pen_json_list(stage, "actionStates");
        size_t count = json_array_size(actions);
        if (*position < seen + count) {
            json_t *action = json_array_get(actions, *position - seen);
            *position += 1;
            *ret_action = (struct pen_state_action){
                .stage = stage,
                .stage_name = pen_json_text(stage, "stageName"),
                .action = action,
                .action_name = pen_json_text(action, "actionName"),
                .latest = json_object_get(action, "latestExecution"),
            };
            return true;
        }
        seen += count;
    }
    return false;
}

bool pen_state_is_approval(const struct pen_state_action *action)
{
    return strcmp(pen_json_text(action->latest, "status"), "InProgress") == 0 &&
           pen_json_text(action->latest, "token")[0] != 0;
}

const char *pen_state_note(const json_t *latest)
{
    const char *message = pen_json_text(json_object_get(latest, "errorDetails"), "message");
    return message[0] != 0 ? message : pen_json_text(latest, "summary");
}
