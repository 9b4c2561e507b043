/* Explain, ResolveAction, ValidatePipeline */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/services/codepipeline/declaration.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"
#include "controller/services/unknown_members.h"

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

/* Misspelt members, of which CreatePipeline would know nothing: a list in the answer. */
static int list_unknown(struct pen_call *call, const struct pen_api_operation *create,
                        bool *ret_any, struct pen_error *err)
{
    json_t *input = json_copy(call->input);
    json_t *list = json_array();
    (void)json_object_del(input, "strict");
    int rc = input == NULL || list == NULL
                 ? pen_fail(err, PEN_ENOMEM, "no memory to list unknown members")
                 : pen_api_unknown_members(create, input, list, err);
    json_decref(input);
    *ret_any = json_array_size(list) > 0;
    if (rc == 0 && *ret_any)
        pen_put_json(call, pen_output(call), "unknownMembers", json_incref(list));
    json_decref(list);
    return rc;
}

/* All that CreatePipeline checks before it asks the core. When strict is asked for, members that
 * the API does not know are listed, and nothing else is checked while there are any. */
int pen_validate_pipeline(struct pen_call *call, struct pen_error *err)
{
    const struct pen_api_operation *create =
        pen_api_operation_find(&pen_codepipeline_catalog, "CreatePipeline");
    bool unknown = false;
    int rc = json_is_true(json_object_get(call->input, "strict"))
                 ? list_unknown(call, create, &unknown, err)
                 : 0;
    if (rc == 0 && !unknown)
        rc = pen_api_validate(create, call->input, err);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = NULL;
    return rc < 0 || unknown ? rc : pen_declaration_take(call, &declaration, err);
}
