/* controller/model/rules.h - the rules that conditions of a stage are made of */
#ifndef PEN_CONTROLLER_MODEL_RULES_H
#define PEN_CONTROLLER_MODEL_RULES_H

#include "common/base/error.h"
#include "common/base/limits.h"
#include "controller/model/rule_types.h"
#include "controller/model/validate.h"
#include "pipeline.pb-c.h"

/* The value of a rule's configuration key, NULL when it is not given. */
const char *pen_rule_configuration(const Pen__RuleDeclaration *rule, const char *name);

/* What follows when the stage fails and its condition, if there is one, is met: RETRY, ROLLBACK, or
 * NULL. The condition says it itself, or leaves it to onFailure. */
const char *pen_failure_result(const Pen__StageDeclaration *stage);

/* Whether all rules of the stage's conditions can be checked by this release, and are configured
 * right. That a time zone exists is for those to see who can read the database of zones. Errors:
 * InvalidStageDeclarationException, naming stage, rule and reason. */
int pen_rules_check(const Pen__StageDeclaration *stage, struct pen_error *err);

/* Call `each` for every rule of the stage, with the name of its kind of condition ("beforeEntry"),
 * until one call fails: its answer is returned. */
typedef int pen_rule_f(void *context, const Pen__StageDeclaration *stage, const char *kind,
                       const Pen__Condition *condition, const Pen__RuleDeclaration *rule,
                       struct pen_error *err);
int pen_rules_each(const Pen__StageDeclaration *stage, pen_rule_f *each, void *context,
                   struct pen_error *err);

#endif
