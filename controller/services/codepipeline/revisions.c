/* PutActionRevision: somebody else has seen a revision */
#include <stdlib.h>

#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/output.h"

static int revision_put(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    pen_put_boolean(call, pen_output(call), "newRevision", reply->new_revision);
    pen_put_string(call, pen_output(call), "pipelineExecutionId", reply->execution_id);
    return 0;
}

int pen_put_action_revision(struct pen_call *call, struct pen_error *err)
{
    const json_t *revision = json_object_get(call->input, "actionRevision");
    Pen__PutActionRevision *put = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_PUT_ACTION_REVISION,
                                      &pen__put_action_revision__descriptor, &put);
    if (input != NULL &&
        (!pen_str_set(&put->pipeline, pen_in_string(call->input, "pipelineName")) ||
         !pen_str_set(&put->stage, pen_in_string(call->input, "stageName")) ||
         !pen_str_set(&put->action, pen_in_string(call->input, "actionName")) ||
         !pen_str_set(&put->revision_id, pen_in_string(revision, "revisionId")) ||
         !pen_str_set(&put->revision_change_id, pen_in_string(revision, "revisionChangeId"))))
        pen_message_destroy(&input);
    return pen_call_post(call, input, revision_put, err);
}
