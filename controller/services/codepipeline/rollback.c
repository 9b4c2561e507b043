/* RollbackStage: the core decides; what it needs of the target, which may be history, goes along.
 */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"
#include "controller/services/read.h"

enum { ACTIONS_OF_TARGET_MAX = 10000 };

static int rolled_back(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "pipelineExecutionId", reply->execution_id);
    return 0;
}

/* The actions whose output variables others may have used. */
static int put_actions(struct pen_call *call, Pen__Rollback *rollback, struct pen_error *err)
{
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_ACTION_EXECUTION,
                                         .pipeline = rollback->pipeline,
                                         .execution = rollback->target_execution_id,
                                         .limit = ACTIONS_OF_TARGET_MAX};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    int rc = pen_read_list(call, &query, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.count == ACTIONS_OF_TARGET_MAX)
        return pen_fail_api(err, PEN_ELIMIT, "UnableToRollbackStageException",
                            "execution '%s' has run %d actions or more, too many to go back to",
                            rollback->target_execution_id, ACTIONS_OF_TARGET_MAX);
    rollback->target_actions = calloc(rows.count + 1, sizeof(Pen__ActionExecutionRow *));
    if (rollback->target_actions == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the actions of a target");
    for (size_t i = 0; i < rows.count; i++) {
        const Pen__ActionExecutionRow *row = (const Pen__ActionExecutionRow *)rows.rows[i];
        if (row->namespace_ != NULL && row->status == PEN__ACTION_STATUS__ACTION_SUCCEEDED)
            rollback->target_actions[rollback->n_target_actions++] =
                (Pen__ActionExecutionRow *)TAKE_PTR(rows.rows[i]);
    }
    return 0;
}

/* What is removed from history behind this state was perhaps read by it. */
static int put_state(struct pen_call *call, Pen__Rollback *rollback, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__SettingRow *setting = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_SETTING, "main", &setting, err);
    if (rc < 0 || setting == NULL)
        return rc;
    rollback->has_as_of_seq = true;
    rollback->as_of_seq = setting->last_fact_seq;
    return 0;
}

static int put_target(struct pen_call *call, Pen__Rollback *rollback, struct pen_error *err)
{
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, rollback->target_execution_id,
                               &rollback->target, err);
    if (rc < 0 || rollback->target == NULL)
        return rc;
    rc = pen_read_stage_execution(call, rollback->target_execution_id, rollback->stage,
                                  &rollback->target_stage, err);
    return rc < 0 ? rc : put_actions(call, rollback, err);
}

int pen_rollback_stage(struct pen_call *call, struct pen_error *err)
{
    Pen__Rollback *rollback = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_ROLLBACK, &pen__rollback__descriptor, &rollback);
    if (input == NULL ||
        !pen_str_set(&rollback->pipeline, pen_in_string(call->input, "pipelineName")) ||
        !pen_str_set(&rollback->stage, pen_in_string(call->input, "stageName")) ||
        !pen_str_set(&rollback->target_execution_id,
                     pen_in_string(call->input, "targetPipelineExecutionId")))
        return pen_fail(err, PEN_ENOMEM, "no memory for a rollback");
    int rc = put_state(call, rollback, err);
    if (rc == 0)
        rc = put_target(call, rollback, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), rolled_back, err);
}
