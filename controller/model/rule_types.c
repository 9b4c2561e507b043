#include "controller/model/rule_types.h"

#include "common/base/str.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct pen_rule_key commands_keys[] = {
    {"RunsOn", false, "Labels that the agent must have, as 'os=linux,pool=fast'."},
};

static const struct pen_rule_key window_keys[] = {
    {"Cron", true,
     "When the window is open, as a Quartz cron expression: seconds, minutes, hours, day of month, "
     "month, day of week and, if wanted, year."},
    {"TimeZone", false,
     "Where the expression's times are read: a name as Europe/Berlin, an abbreviation as CET, or "
     "an offset as UTC+01:00. UTC when absent."},
};

static const struct pen_rule_key variable_keys[] = {
    {"Variable", true, "The value that is looked at, as #{namespace.name}."},
    {"Operator", true,
     "How it is compared: EQ, NE, CONTAINS, or MATCHES a regular expression as a whole."},
    {"Value", true, "What it is compared with."},
};

static const struct pen_rule_type types[] = {
    {PEN_RULE_KIND_COMMANDS, PEN_RULE_COMMANDS, 10, true, false, commands_keys,
     COUNT(commands_keys)},
    {PEN_RULE_KIND_WINDOW, PEN_RULE_DEPLOYMENT_WINDOW, 0, false, false, window_keys,
     COUNT(window_keys)},
    {PEN_RULE_KIND_VARIABLE, PEN_RULE_VARIABLE_CHECK, 0, false, true, variable_keys,
     COUNT(variable_keys)},
};

/* What may be left out of an id has one value only. */
static bool is_or_absent(const char *text, const char *only)
{
    return text == NULL || pen_str_equal(text, only);
}

const struct pen_rule_type *pen_rule_type_find(const Pen__RuleTypeId *id)
{
    if (id == NULL || !is_or_absent(id->category, "Rule") || !is_or_absent(id->owner, "AWS") ||
        !is_or_absent(id->version, "1"))
        return NULL;
    for (size_t i = 0; i < COUNT(types); i++)
        if (pen_str_equal(types[i].provider, id->provider))
            return &types[i];
    return NULL;
}

const struct pen_rule_type *pen_rule_type_at(size_t index)
{
    return index < COUNT(types) ? &types[index] : NULL;
}

const char *pen_rule_types_text(void)
{
    return PEN_RULE_COMMANDS ", " PEN_RULE_DEPLOYMENT_WINDOW " and " PEN_RULE_VARIABLE_CHECK;
}
