/* KillExecution, RetryBesideAbandoned: what a person says of work that outlives its action */
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"

static int killed(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_string(call, pen_output(call), "pipelineExecutionId", reply->execution_id);
    return 0;
}

int pen_kill_execution(struct pen_call *call, struct pen_error *err)
{
    Pen__StopExecution *stop = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_STOP_EXECUTION, &pen__stop_execution__descriptor, &stop);
    if (input != NULL) {
        stop->has_kill = stop->has_abandon = true;
        stop->kill = stop->abandon = true;
        if (!(pen_str_set(&stop->pipeline, pen_in_string(call->input, "pipelineName")) &&
              pen_str_set(&stop->execution_id, pen_in_string(call->input, "pipelineExecutionId")) &&
              pen_str_set(&stop->reason, pen_in_string(call->input, "reason"))))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, killed, err);
}

int pen_retry_beside_abandoned(struct pen_call *call, struct pen_error *err)
{
    return pen_retry_stage(call, true, err);
}
