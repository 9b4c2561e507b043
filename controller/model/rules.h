/* controller/model/rules.h - the rules that conditions of a stage are made of */
#ifndef PEN_CONTROLLER_MODEL_RULES_H
#define PEN_CONTROLLER_MODEL_RULES_H

#include "common/base/error.h"
#include "controller/model/validate.h"
#include "pipeline.pb-c.h"

#define PEN_RULE_VARIABLE_CHECK    "VariableCheck"
#define PEN_RULE_DEPLOYMENT_WINDOW "DeploymentWindow"

enum {
    PEN_RULE_TIMEOUT_MINUTES_MIN = 5,
    PEN_RULE_TIMEOUT_MINUTES_MAX = 86400,
    PEN_RULE_TIMEOUT_MINUTES_DEFAULT = 7 * 24 * 60, /* as long as an approval: a week's window */
};

/* Whether all rules of the stage's conditions can be checked by this release, and are configured
 * right. Errors: InvalidStageDeclarationException, naming stage, rule and reason. */
int pen_rules_check(const Pen__StageDeclaration *stage, struct pen_error *err);

#endif
