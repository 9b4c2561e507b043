/* ListDeploymentWindows: when the windows of a pipeline, or one that is only thought of, open next
 */
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/wire/wire.h"
#include "controller/model/cron.h"
#include "controller/model/rules.h"
#include "controller/model/variables.h"
#include "controller/services/output.h"
#include "controller/services/penstock/penstock.h"
#include "controller/services/read.h"
#include "controller/zones/zones.h"

enum { OPENINGS_MAX = 10 };

struct listing {
    struct pen_call *call;
    json_t *list;
    const char *stage; /* NULL: all */
    int64_t now_ms;
    struct pen_zone_changes *zone; /* room for one */
};

static int put_openings(const struct listing *self, json_t *item, const char *expression,
                        const char *zone_name, struct pen_error *err)
{
    struct pen_cron cron;
    int rc = pen_cron_parse(expression, &cron, err);
    if (rc < 0 || (rc = pen_zones_load(zone_name, self->now_ms, self->zone, err)) < 0)
        return rc;
    const struct pen_zone zone = {self->zone->changes, self->zone->count};
    int64_t opens_ms[OPENINGS_MAX];
    int64_t closes_ms[OPENINGS_MAX];
    size_t count = pen_cron_openings(&cron, &zone, self->now_ms, opens_ms, closes_ms, OPENINGS_MAX);
    json_t *openings = pen_put_list(self->call, item, "openings");
    for (size_t i = 0; i < count; i++) {
        json_t *opening = pen_add_object(self->call, openings);
        pen_put_time(self->call, opening, "opens", opens_ms[i]);
        if (closes_ms[i] != INT64_MAX)
            pen_put_time(self->call, opening, "closes", closes_ms[i]);
    }
    return 0;
}

/* A window whose expression or zone is made by variables opens nobody knows when: it has none. */
static int put_rule(void *context, const Pen__StageDeclaration *stage, const char *kind,
                    const Pen__Condition *condition, const Pen__RuleDeclaration *rule,
                    struct pen_error *err)
{
    (void)condition;
    const struct listing *self = context;
    const struct pen_rule_type *type = pen_rule_type_find(rule->rule_type_id);
    if (type == NULL || type->kind != PEN_RULE_KIND_WINDOW ||
        (self->stage != NULL && !pen_str_equal(self->stage, stage->name)))
        return 0;
    const char *expression = pen_rule_configuration(rule, "Cron");
    const char *zone = pen_rule_configuration(rule, "TimeZone");
    json_t *item = pen_add_object(self->call, self->list);
    pen_put_string(self->call, item, "stageName", stage->name);
    pen_put_string(self->call, item, "conditionType", kind);
    pen_put_string(self->call, item, "ruleName", rule->name);
    pen_put_string(self->call, item, "cron", expression);
    pen_put_string(self->call, item, "timeZone", zone != NULL ? zone : "UTC");
    if (pen_variables_present(expression) || (zone != NULL && pen_variables_present(zone))) {
        (void)pen_put_list(self->call, item, "openings");
        return 0;
    }
    return put_openings(self, item, expression, zone, err);
}

static int list_pipeline(struct listing *self, const char *name, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineRow *pipeline = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineVersionRow *version = NULL;
    int rc = pen_read_pipeline(self->call, name, &pipeline, err);
    if (rc == 0)
        rc = pen_read_version(self->call, name, pipeline->version, &version, err);
    for (size_t i = 0; rc == 0 && i < version->declaration->n_stages; i++)
        rc = pen_rules_each(version->declaration->stages[i], put_rule, self, err);
    return rc;
}

static int list_one(struct listing *self, const char *expression, const char *zone,
                    struct pen_error *err)
{
    json_t *item = pen_add_object(self->call, self->list);
    pen_put_string(self->call, item, "cron", expression);
    pen_put_string(self->call, item, "timeZone", zone != NULL ? zone : "UTC");
    struct pen_error why = {0};
    int rc = put_openings(self, item, expression, zone, &why);
    return rc < 0 ? pen_fail_api(err, rc, "ValidationException", "%s", why.message) : 0;
}

int pen_list_deployment_windows(struct pen_call *call, struct pen_error *err)
{
    const char *pipeline = pen_in_string(call->input, "pipelineName");
    const char *expression = pen_in_string(call->input, "cron");
    const char *zone = pen_in_string(call->input, "timeZone");
    const char *stage = pen_in_string(call->input, "stageName");
    if ((pipeline == NULL) == (expression == NULL) || (pipeline != NULL && zone != NULL) ||
        (expression != NULL && stage != NULL))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "Give cron, with or without timeZone; or pipelineName, with or "
                            "without stageName");
    PEN_CLEANUP(pen_free) struct pen_zone_changes *room = malloc(sizeof *room);
    if (room == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a time zone");
    struct listing listing = {.call = call,
                              .list = pen_put_list(call, pen_output(call), "windows"),
                              .stage = stage,
                              .now_ms = pen_clock_wall_ms(),
                              .zone = room};
    return pipeline != NULL ? list_pipeline(&listing, pipeline, err)
                            : list_one(&listing, expression, zone, err);
}
