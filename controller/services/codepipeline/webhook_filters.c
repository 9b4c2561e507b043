/* The filters of a webhook, when it is called */
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/wire/json_path.h"
#include "common/wire/wire.h"
#include "controller/model/webhook.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/read.h"

static const Pen__ActionDeclaration *find_action(const Pen__PipelineDeclaration *declaration,
                                                 const char *name)
{
    const Pen__StageDeclaration *first = declaration->stages[0];
    for (size_t i = 0; i < first->n_actions; i++)
        if (pen_str_equal(first->actions[i]->name, name))
            return first->actions[i];
    return NULL;
}

static int filter_passes(const Pen__WebhookFilter *filter, const Pen__ActionDeclaration *action,
                         const json_t *body, bool *ret_passes, struct pen_error *err)
{
    struct pen_json_path path;
    PEN_CLEANUP(pen_free) char *wanted = NULL;
    int rc = pen_json_path_parse(filter->json_path, &path, err);
    if (rc == 0 && filter->match_equals != NULL)
        rc = pen_webhook_expand(filter->match_equals, action, &wanted, err);
    if (rc == PEN_ENOTFOUND)
        return pen_fail_api(err, rc, "ValidationException", "%s", err->message);
    if (rc == 0)
        *ret_passes = pen_json_path_matches(&path, body, wanted);
    return rc;
}

static int judge(struct pen_call *call, const Pen__WebhookRow *row, const json_t *body,
                 size_t *ret_failed, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    int rc = pen_read_pipeline(call, row->pipeline, &pipeline, err);
    if (rc < 0 ||
        (rc = pen_read_version(call, row->pipeline, pipeline->version, &version, err)) < 0)
        return rc;
    const Pen__ActionDeclaration *action = find_action(version->declaration, row->action);
    if (action == NULL)
        return pen_fail_api(err, PEN_ENOTFOUND, "ValidationException",
                            "The first stage of pipeline '%s' has no action '%s' any more.",
                            row->pipeline, row->action);
    for (size_t i = 0; rc == 0 && *ret_failed == 0 && i < row->n_filters; i++) {
        bool passes = false;
        rc = filter_passes(row->filters[i], action, body, &passes, err);
        *ret_failed = passes ? 0 : i + 1;
    }
    return rc;
}

int pen_webhook_filter(struct pen_call *call, const Pen__WebhookRow *row, const void *bytes,
                       size_t size, size_t *ret_failed, struct pen_error *err)
{
    json_t *body = NULL;
    if (row->n_filters == 0)
        return 0;
    int rc = pen_json_parse_any(bytes, size, &body, err);
    if (rc == PEN_EINVAL || rc == PEN_ELIMIT)
        err->api_name = "ValidationException";
    if (rc == 0)
        rc = judge(call, row, body, ret_failed, err);
    json_decref(body);
    return rc;
}
