/* controller/model/rule_types.h - the types of rules that we check */
#ifndef PEN_CONTROLLER_MODEL_RULE_TYPES_H
#define PEN_CONTROLLER_MODEL_RULE_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline.pb-c.h"

#define PEN_RULE_COMMANDS          "Commands"
#define PEN_RULE_DEPLOYMENT_WINDOW "DeploymentWindow"
#define PEN_RULE_VARIABLE_CHECK    "VariableCheck"

enum pen_rule_kind {
    PEN_RULE_KIND_COMMANDS = 1, /* shell lines on an agent succeed */
    PEN_RULE_KIND_WINDOW,       /* the time of day and week is right */
    PEN_RULE_KIND_VARIABLE,     /* a value is as it should be */
};

/* A key of a rule's configuration. */
struct pen_rule_key {
    const char *name;
    bool required;
    const char *description; /* one sentence, for ListRuleTypes and for people */
};

struct pen_rule_type {
    enum pen_rule_kind kind;
    const char *provider; /* category Rule, owner AWS, version 1 */
    size_t inputs_max;
    bool commands; /* it takes `commands`, and has to have some */
    bool skips;    /* the result SKIP takes it */
    const struct pen_rule_key *keys;
    size_t keys_count;
};

/* The type of this id, NULL when we have none: another provider, category, owner or version. */
const struct pen_rule_type *pen_rule_type_find(const Pen__RuleTypeId *id);

/* All of them, index from 0; NULL past the last. */
const struct pen_rule_type *pen_rule_type_at(size_t index);

/* "Commands, DeploymentWindow and VariableCheck". */
const char *pen_rule_types_text(void);

#endif
