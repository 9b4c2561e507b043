/* Explain, ResolveAction, ValidatePipeline */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/declaration.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"

static int explained(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)err;
    json_t *list = pen_put_list(call, pen_output(call), "reasons");
    for (size_t i = 0; i < reply->n_reasons; i++) {
        const Pen__Reason *reason = reply->reasons[i];
        json_t *item = pen_add_object(call, list);
        pen_put_string(call, item, "subject", reason->subject);
        pen_put_string(call, item, "executionId", reason->execution_id);
        pen_put_string(call, item, "predicate", reason->predicate);
        pen_put_string(call, item, "sentence", reason->sentence);
        pen_put_time(call, item, "since", reason->since_ms);
        pen_put_string(call, item, "clears", reason->clears);
        if (reason->has_estimate_ms)
            pen_put_integer(call, item, "estimateSeconds", (reason->estimate_ms + 999) / 1000);
        pen_put_boolean(call, item, "never", reason->has_never && reason->never);
    }
    return 0;
}

int pen_explain(struct pen_call *call, struct pen_error *err)
{
    if (pen_in_string(call->input, "pipelineName") == NULL &&
        pen_in_string(call->input, "executionId") == NULL)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Explain takes a pipelineName, an executionId, or both");
    Pen__ExplainRequest *explain = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_EXPLAIN, &pen__explain_request__descriptor, &explain);
    if (input != NULL &&
        !(pen_str_set(&explain->pipeline, pen_in_string(call->input, "pipelineName")) &&
          pen_str_set(&explain->execution_id, pen_in_string(call->input, "executionId"))))
        pen_message_destroy(&input);
    if (input == NULL || explain->execution_id == NULL)
        return pen_call_post(call, TAKE_PTR(input), explained, err);
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_EXECUTION, explain->execution_id,
                               &explain->execution, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), explained, err);
}

static Pen__AttemptResolution resolution_of(const char *word)
{
    if (strcmp(word, "Succeeded") == 0)
        return PEN__ATTEMPT_RESOLUTION__RESOLVE_SUCCEEDED;
    if (strcmp(word, "Retry") == 0)
        return PEN__ATTEMPT_RESOLUTION__RESOLVE_RETRY;
    return PEN__ATTEMPT_RESOLUTION__RESOLVE_FAILED;
}

int pen_resolve_action(struct pen_call *call, struct pen_error *err)
{
    Pen__ResolveAttempt *resolve = NULL;
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_RESOLVE_ATTEMPT,
                                      &pen__resolve_attempt__descriptor, &resolve);
    if (input != NULL) {
        resolve->has_resolution = true;
        resolve->resolution = resolution_of(pen_in_string(call->input, "resolution"));
        if (!(pen_str_set(&resolve->action_execution_id,
                          pen_in_string(call->input, "actionExecutionId")) &&
              pen_str_set(&resolve->reason, pen_in_string(call->input, "reason"))))
            pen_message_destroy(&input);
    }
    return pen_call_post(call, input, pen_reply_nothing, err);
}

/* All that CreatePipeline checks before it asks the core. */
int pen_validate_pipeline(struct pen_call *call, struct pen_error *err)
{
    const struct pen_api_operation *create =
        pen_api_operation_find(&pen_codepipeline_catalog, "CreatePipeline");
    int rc = pen_api_validate(create, call->input, err);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = NULL;
    return rc < 0 ? rc : pen_declaration_take(call, &declaration, err);
}
