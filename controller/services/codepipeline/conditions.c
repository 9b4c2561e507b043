/* Conditions of stages: their part of GetPipelineState, ListRuleExecutions, OverrideStageCondition
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/wire/wire.h"
#include "controller/model/validate.h"
#include "controller/services/codepipeline/codepipeline.h"
#include "controller/services/codepipeline/names.h"
#include "controller/services/output.h"
#include "controller/services/page.h"
#include "controller/services/read.h"

enum {
    RULES_PAGE_MAX = 100,
    RULES_OF_EXECUTION_MAX = 10000, /* rows that the "Latest" filter looks at */
};

static void put_error(struct pen_call *call, json_t *object, const Pen__RuleExecutionRow *row)
{
    if (row->error_code == NULL && row->error_message == NULL)
        return;
    json_t *details = pen_put_object(call, object, "errorDetails");
    pen_put_string(call, details, "code", row->error_code);
    pen_put_string(call, details, "message", row->error_message);
}

/* What a rule waits for on an agent is told by its work, as long as it lasts. */
static int read_work(struct pen_call *call, const Pen__RuleExecutionRow *row,
                     Pen__ActionExecutionRow **ret_work, struct pen_error *err)
{
    if (row->status != PEN__ACTION_STATUS__ACTION_IN_PROGRESS || row->summary != NULL)
        return 0;
    return pen_read_optional(call, PEN__ROW_KIND__ROW_RULE_WORK, row->id, ret_work, err);
}

/* ---- GetPipelineState */

static int put_rule_state(struct pen_call *call, json_t *list, const char *id,
                          struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__RuleExecutionRow *row = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__ActionExecutionRow *work = NULL;
    int rc = pen_read_optional(call, PEN__ROW_KIND__ROW_RULE_EXECUTION, id, &row, err);
    if (rc < 0 || row == NULL || (rc = read_work(call, row, &work, err)) < 0)
        return rc;
    json_t *state = pen_add_object(call, list);
    pen_put_string(call, state, "ruleName", row->rule);
    json_t *latest = pen_put_object(call, state, "latestExecution");
    pen_put_string(call, latest, "ruleExecutionId", row->id);
    pen_put_string(call, latest, "status", pen_action_status_name(row->status));
    pen_put_text(call, latest, "summary", work != NULL ? work->summary : row->summary);
    pen_put_time(call, latest, "lastStatusChange", row->updated_ms);
    pen_put_string(call, latest, "lastUpdatedBy", row->updated_by);
    put_error(call, latest, row);
    return 0;
}

int pen_put_condition_states(struct pen_call *call, json_t *stage,
                             const Pen__StageExecutionRow *row, struct pen_error *err)
{
    static const char *const members[] = {
        [PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY] = "beforeEntryConditionState",
        [PEN__CONDITION_KIND__CONDITION_ON_SUCCESS] = "onSuccessConditionState",
        [PEN__CONDITION_KIND__CONDITION_ON_FAILURE] = "onFailureConditionState",
    };
    for (size_t i = 0; i < row->n_conditions; i++) {
        const Pen__ConditionRun *condition = row->conditions[i];
        if ((size_t)condition->kind >= sizeof members / sizeof members[0])
            continue;
        const char *status = pen_condition_status_name(condition->status);
        json_t *state = pen_put_object(call, stage, members[condition->kind]);
        json_t *latest = pen_put_object(call, state, "latestExecution");
        pen_put_string(call, latest, "status", status);
        pen_put_text(call, latest, "summary", condition->summary);
        json_t *only = pen_add_object(call, pen_put_list(call, state, "conditionStates"));
        latest = pen_put_object(call, only, "latestExecution");
        pen_put_string(call, latest, "status", status);
        pen_put_text(call, latest, "summary", condition->summary);
        pen_put_time(call, latest, "lastStatusChange", condition->changed_ms);
        json_t *rules = pen_put_list(call, only, "ruleStates");
        for (size_t k = 0; k < condition->n_rule_execution_ids; k++) {
            int rc = put_rule_state(call, rules, condition->rule_execution_ids[k], err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* ---- ListRuleExecutions */

static const Pen__RuleDeclaration *rule_in(Pen__Condition *const *conditions, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < conditions[i]->n_rules; k++)
            if (pen_str_equal(conditions[i]->rules[k]->name, name))
                return conditions[i]->rules[k];
    return NULL;
}

/* As it was declared in the version that ran; NULL when that is not known any more. */
static const Pen__RuleDeclaration *declared(const Pen__PipelineVersionRow *version,
                                            const Pen__RuleExecutionRow *row)
{
    for (size_t i = 0; version != NULL && i < version->declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = version->declaration->stages[i];
        if (!pen_str_equal(stage->name, row->stage))
            continue;
        switch ((int)row->kind) {
        case PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY:
            return stage->before_entry == NULL
                       ? NULL
                       : rule_in(stage->before_entry->conditions, stage->before_entry->n_conditions,
                                 row->rule);
        case PEN__CONDITION_KIND__CONDITION_ON_SUCCESS:
            return stage->on_success == NULL ? NULL
                                             : rule_in(stage->on_success->conditions,
                                                       stage->on_success->n_conditions, row->rule);
        default:
            return stage->on_failure == NULL ? NULL
                                             : rule_in(stage->on_failure->conditions,
                                                       stage->on_failure->n_conditions, row->rule);
        }
    }
    return NULL;
}

/* Rows come in order, so that neighbours mostly ran by the same version. */
static int read_version(struct pen_call *call, const Pen__RuleExecutionRow *row,
                        Pen__PipelineVersionRow **version, struct pen_error *err)
{
    if (*version != NULL && (*version)->declaration->version == row->pipeline_version)
        return 0;
    pen_message_destroy(version);
    int rc = pen_read_version(call, row->pipeline, row->pipeline_version, version, err);
    return rc == PEN_ENOTFOUND ? 0 : rc;
}

static void put_input(struct pen_call *call, json_t *detail, const Pen__PipelineVersionRow *version,
                      const Pen__RuleExecutionRow *row)
{
    const Pen__RuleDeclaration *rule = declared(version, row);
    json_t *input = pen_put_object(call, detail, "input");
    json_t *type = pen_put_object(call, input, "ruleTypeId");
    pen_put_string(call, type, "category", row->type->category);
    pen_put_string(call, type, "owner", row->type->owner);
    pen_put_string(call, type, "provider", row->type->provider);
    pen_put_string(call, type, "version", row->type->version);
    json_t *configuration = pen_put_object(call, input, "configuration");
    for (size_t i = 0; rule != NULL && i < rule->n_configuration; i++)
        pen_put_string(call, configuration, rule->configuration[i]->key,
                       rule->configuration[i]->value);
    json_t *resolved = pen_put_object(call, input, "resolvedConfiguration");
    for (size_t i = 0; i < row->n_resolved_configuration; i++)
        pen_put_string(call, resolved, row->resolved_configuration[i]->key,
                       row->resolved_configuration[i]->value);
    pen_put_string(call, input, "roleArn", rule == NULL ? NULL : rule->role_arn);
    pen_put_string(call, input, "region",
                   rule != NULL && rule->region != NULL ? rule->region : call->services->region);
    json_t *artifacts = pen_put_list(call, input, "inputArtifacts");
    for (size_t i = 0; rule != NULL && i < rule->n_input_artifacts; i++)
        pen_put_string(call, pen_add_object(call, artifacts), "name",
                       rule->input_artifacts[i]->name);
}

static int put_detail(struct pen_call *call, json_t *list, Pen__PipelineVersionRow **version,
                      const Pen__RuleExecutionRow *row, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__ActionExecutionRow *work = NULL;
    int rc = read_work(call, row, &work, err);
    if (rc < 0 || (rc = read_version(call, row, version, err)) < 0)
        return rc;
    json_t *detail = pen_add_object(call, list);
    pen_put_string(call, detail, "pipelineExecutionId", row->execution_id);
    pen_put_string(call, detail, "ruleExecutionId", row->id);
    pen_put_integer(call, detail, "pipelineVersion", row->pipeline_version);
    pen_put_string(call, detail, "stageName", row->stage);
    pen_put_string(call, detail, "ruleName", row->rule);
    pen_put_time(call, detail, "startTime", row->started_ms);
    pen_put_time(call, detail, "lastUpdateTime", row->updated_ms);
    pen_put_string(call, detail, "updatedBy", row->updated_by);
    pen_put_string(call, detail, "status", pen_action_status_name(row->status));
    put_input(call, detail, *version, row);
    json_t *result =
        pen_put_object(call, pen_put_object(call, detail, "output"), "executionResult");
    pen_put_string(call, result, "externalExecutionSummary",
                   work != NULL ? work->summary : row->summary);
    put_error(call, result, row);
    return 0;
}

static bool names_rule(const struct pen_rows *stages, const char *id)
{
    for (size_t i = 0; i < stages->count; i++) {
        const Pen__StageExecutionRow *stage = (const Pen__StageExecutionRow *)stages->rows[i];
        for (size_t k = 0; k < stage->n_conditions; k++)
            for (size_t r = 0; r < stage->conditions[k]->n_rule_execution_ids; r++)
                if (pen_str_equal(stage->conditions[k]->rule_execution_ids[r], id))
                    return true;
    }
    return false;
}

/* Of each stage's conditions keep the rules as they were checked last: a retry checks again. */
static int keep_latest(struct pen_call *call, const char *execution, struct pen_rows *rows,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_rows_release) struct pen_rows stages = {0};
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_STAGE_EXECUTION,
                                         .execution = execution,
                                         .limit = PEN_STAGES_CONFIGURED_MAX};
    int rc = pen_read_list(call, &query, &stages, err);
    if (rc < 0)
        return rc;
    size_t kept = 0;
    for (size_t i = 0; i < rows->count; i++) {
        ProtobufCMessage *moved = TAKE_PTR(rows->rows[i]);
        if (names_rule(&stages, ((const Pen__RuleExecutionRow *)moved)->id))
            rows->rows[kept++] = moved;
        else
            pen_message_destroy(&moved);
    }
    rows->count = kept;
    return 0;
}

static int list_rules(struct pen_call *call, struct pen_buf *scope, struct pen_error *err)
{
    const char *name = pen_in_string(call->input, "pipelineName");
    const json_t *filter = json_object_get(call->input, "filter");
    const json_t *latest = json_object_get(filter, "latestInPipelineExecution");
    const char *id = pen_in_string(filter, "pipelineExecutionId");
    const char *of_latest = pen_in_string(latest, "pipelineExecutionId");
    if (id != NULL && of_latest != NULL && strcmp(id, of_latest) != 0)
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "filter.pipelineExecutionId and filter.latestInPipelineExecution name "
                            "different executions: give one of them.");
    id = id != NULL ? id : of_latest;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__ExecutionRow *execution = NULL;
    uint64_t before = 0;
    bool only_latest = pen_str_equal(pen_in_string(latest, "startTimeRange"), "Latest");
    pen_buf_printf(scope, "%s/%s/%d", name, id == NULL ? "" : id, only_latest);
    int rc = pen_buf_ok(scope, err);
    if (rc < 0 || (rc = pen_read_pipeline(call, name, &pipeline, err)) < 0 ||
        (id != NULL && (rc = pen_read_execution(call, pipeline, id, &execution, err)) < 0) ||
        (rc = pen_page_get_number(call, pen_buf_text(scope), &before, err)) < 0)
        return rc;
    size_t size = pen_page_size(call, RULES_PAGE_MAX);
    const struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_RULE_EXECUTION,
                                         .pipeline = name,
                                         .execution = id,
                                         .before_order = before,
                                         .after_order = pipeline->created_order,
                                         .limit = only_latest ? RULES_OF_EXECUTION_MAX : size + 1};
    PEN_CLEANUP(pen_rows_release) struct pen_rows rows = {0};
    if ((rc = pen_read_list(call, &query, &rows, err)) < 0 ||
        (only_latest && (rc = keep_latest(call, id, &rows, err)) < 0))
        return rc;
    bool more = pen_rows_keep_page(&rows, size);
    json_t *list = pen_put_list(call, pen_output(call), "ruleExecutionDetails");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    for (size_t i = 0; i < rows.count; i++)
        if ((rc = put_detail(call, list, &version, (const Pen__RuleExecutionRow *)rows.rows[i],
                             err)) < 0)
            return rc;
    if (more) {
        char place[24];
        (void)snprintf(place, sizeof place, "%" PRIu64,
                       ((const Pen__RuleExecutionRow *)rows.rows[rows.count - 1])->order);
        pen_page_put(call, pen_buf_text(scope), place);
    }
    return 0;
}

int pen_list_rule_executions(struct pen_call *call, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf scope = {0};
    return list_rules(call, &scope, err);
}

/* ---- OverrideStageCondition */

int pen_override_stage_condition(struct pen_call *call, struct pen_error *err)
{
    Pen__OverrideCondition *override = NULL;
    PEN_CLEANUP(pen_message_destroy)
    Pen__Input *input = pen_input_new(PEN__INPUT__WHAT_OVERRIDE_CONDITION,
                                      &pen__override_condition__descriptor, &override);
    if (input == NULL ||
        !pen_str_set(&override->pipeline, pen_in_string(call->input, "pipelineName")) ||
        !pen_str_set(&override->stage, pen_in_string(call->input, "stageName")) ||
        !pen_str_set(&override->execution_id, pen_in_string(call->input, "pipelineExecutionId")))
        return pen_fail(err, PEN_ENOMEM, "no memory for an override");
    bool entry = pen_str_equal(pen_in_string(call->input, "conditionType"), "BEFORE_ENTRY");
    override->has_kind = true;
    override->kind = entry ? PEN__CONDITION_KIND__CONDITION_BEFORE_ENTRY
                           : PEN__CONDITION_KIND__CONDITION_ON_SUCCESS;
    int rc = pen_read_stage_execution(call, override->execution_id, override->stage,
                                      &override->stage_execution, err);
    return rc < 0 ? rc : pen_call_post(call, TAKE_PTR(input), pen_reply_nothing, err);
}
