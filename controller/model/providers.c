#include "controller/model/providers.h"

#include <string.h>

#include "controller/model/action_types.h"
#include "controller/model/labels.h"
#include "controller/model/variables.h"

#define ACTION_ERROR "InvalidActionDeclarationException"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const booleans[] = {"true", "false", NULL};
static const char *const archive_formats[] = {"CODE_ZIP", NULL};
static const char *const classes[] = {"once", "repeatable", NULL};
static const char *const when_newer_waits[] = {"Keep", "Supersede", NULL};
static const char *const shells[] = {"sh", "bash", NULL};
static const char *const environment_types[] = {"LINUX_CONTAINER", NULL};
static const char *const compute_types[] = {"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM",
                                            "BUILD_GENERAL1_LARGE", NULL};

static const struct pen_provider_key codecommit_keys[] = {
    {.name = "RepositoryName", .required = true, .description = "Name of the repository."},
    {.name = "BranchName", .required = true, .description = "Branch that is followed."},
    {.name = "PollForSourceChanges",
     .values = booleans,
     .description = "Whether a push starts the pipeline; true when left out."},
    {.name = "OutputArtifactFormat",
     .values = archive_formats,
     .description = "CODE_ZIP: the files of the commit, without history."},
};

static const struct pen_provider_key connection_keys[] = {
    {.name = "ConnectionArn",
     .required = true,
     .arn = true,
     .description = "ARN of the connection."},
    {.name = "FullRepositoryId",
     .required = true,
     .description = "Repository below the connection's base URL: owner/name."},
    {.name = "BranchName", .required = true, .description = "Branch that is followed."},
    {.name = "OutputArtifactFormat",
     .values = archive_formats,
     .description = "CODE_ZIP: the files of the commit, without history."},
    {.name = "DetectChanges",
     .values = booleans,
     .description = "Whether a push starts the pipeline; true when left out."},
};

static const struct pen_provider_key commands_keys[] = {
    {.name = "Class",
     .values = classes,
     .description = "once: never begun a second time without a person's word; repeatable, when "
                    "left out: begun again when its agent is lost."},
    {.name = "RunsOn", .description = "Labels of the agent: os=linux,arch!=arm64,gpu."},
    {.name = "Shell",
     .values = shells,
     .description = "What runs the commands: sh (/bin/sh), when left out, or bash (/bin/bash)."},
    {.name = "Pipefail",
     .values = booleans,
     .description = "true: a pipe fails when any of its commands fails, not only the last; needs "
                    "'Shell' bash."},
    {.name = "EnvironmentType",
     .values = environment_types,
     .description = "Only LINUX_CONTAINER; RunsOn chooses the agent."},
    {.name = "ComputeType",
     .values = compute_types,
     .description = "Kept and shown; RunsOn and slots choose the agent."},
};

static const struct pen_provider_key manual_keys[] = {
    {.name = "NotificationArn", .description = "Topic that is told when approval is wanted."},
    {.name = "ExternalEntityLink", .description = "Page for the reviewer to look at."},
    {.name = "CustomData", .description = "Text for the reviewer to read."},
    {.name = "WhenNewerWaits",
     .values = when_newer_waits,
     .description = "Keep, when left out: it waits for its answer; Supersede: it is given up when "
                    "a newer execution waits in front of its stage."},
};

static const struct pen_provider providers[] = {
    {
        .kind = PEN_PROVIDER_CODECOMMIT,
        .category = "Source",
        .owner = "AWS",
        .provider = "CodeCommit",
        .version = "1",
        .outputs_min = 1,
        .outputs_max = 1,
        .keys = codecommit_keys,
        .keys_count = COUNT(codecommit_keys),
    },
    {
        .kind = PEN_PROVIDER_CONNECTION,
        .category = "Source",
        .owner = "AWS",
        .provider = "CodeStarSourceConnection",
        .version = "1",
        .outputs_min = 1,
        .outputs_max = 1,
        .keys = connection_keys,
        .keys_count = COUNT(connection_keys),
    },
    {
        .kind = PEN_PROVIDER_COMMANDS,
        .category = "Compute",
        .owner = "AWS",
        .provider = "Commands",
        .version = "1",
        .inputs_min = 1,
        .inputs_max = 10,
        .outputs_max = 1,
        .keys = commands_keys,
        .keys_count = COUNT(commands_keys),
    },
    {
        .kind = PEN_PROVIDER_MANUAL,
        .category = "Approval",
        .owner = "AWS",
        .provider = "Manual",
        .version = "1",
        .keys = manual_keys,
        .keys_count = COUNT(manual_keys),
    },
};

static bool same(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

const struct pen_provider *pen_provider_find(const Pen__ActionTypeId *type)
{
    if (type == NULL)
        return NULL;
    for (size_t i = 0; i < COUNT(providers); i++) {
        const struct pen_provider *provider = &providers[i];
        if (same(type->category, provider->category) && same(type->owner, provider->owner) &&
            same(type->provider, provider->provider) && same(type->version, provider->version))
            return provider;
    }
    return NULL;
}

const struct pen_provider *pen_provider_at(size_t index)
{
    return index < COUNT(providers) ? &providers[index] : NULL;
}

const struct pen_provider_key *pen_provider_key_find(const struct pen_provider *self,
                                                     const char *name)
{
    for (size_t i = 0; i < self->keys_count; i++) {
        if (same(name, self->keys[i].name))
            return &self->keys[i];
    }
    return NULL;
}

const char *pen_action_configuration(const Pen__ActionDeclaration *action, const char *name)
{
    for (size_t i = 0; i < action->n_configuration; i++) {
        if (same(action->configuration[i]->key, name))
            return action->configuration[i]->value;
    }
    return NULL;
}

Pen__ActionClass pen_action_class(const Pen__ActionDeclaration *action)
{
    const char *configured = pen_action_configuration(action, "Class");
    if (same(configured, "once"))
        return PEN__ACTION_CLASS__ONCE;
    if (same(configured, "repeatable"))
        return PEN__ACTION_CLASS__REPEATABLE;
    if (action->action_type_id != NULL && same(action->action_type_id->category, "Deploy"))
        return PEN__ACTION_CLASS__ONCE;
    return PEN__ACTION_CLASS__REPEATABLE;
}

static int check_count(const Pen__ActionDeclaration *action, const char *what, size_t count,
                       size_t min, size_t max, struct pen_error *err)
{
    if (count < min)
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                            "Action %s declares %zu %s artifacts which is less than the minimum "
                            "count (%zu)",
                            action->name, count, what, min);
    if (count > max)
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                            "Action %s declares %zu %s artifacts which is more than the maximum "
                            "count (%zu)",
                            action->name, count, what, max);
    return 0;
}

/* "arn:" and five more parts, the last of which may have colons of its own. */
static bool is_arn(const char *text)
{
    size_t parts = 1;
    for (const char *at = text; parts < 6 && (at = strchr(at, ':')) != NULL; at++)
        parts++;
    return parts == 6 && strncmp(text, "arn:", strlen("arn:")) == 0;
}

static int check_value(const Pen__ActionDeclaration *action, const struct pen_provider_key *key,
                       const char *value, struct pen_error *err)
{
    bool custom = pen_action_is_custom(action->action_type_id);
    if (value == NULL)
        value = "";
    if (key->values == NULL && pen_variables_present(value))
        return 0; /* known only when the action starts */
    for (size_t i = 0; key->values != NULL; i++) {
        if (key->values[i] == NULL)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action configuration for action '%s' has '%.60s' for '%s': this "
                                "value is not supported (a value that is: %s)",
                                action->name, value, key->name, key->values[0]);
        if (strcmp(key->values[i], value) == 0)
            break;
    }
    if (key->arn && !is_arn(value))
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                            "Action configuration for action '%s' has '%.60s' for '%s': this is no "
                            "ARN (arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE)",
                            action->name, value, key->name);
    if (!custom && strcmp(key->name, "RunsOn") == 0) {
        struct pen_labels labels;
        struct pen_error fault = {0};
        if (pen_labels_parse(value, &labels, &fault) < 0)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action configuration for action '%s', 'RunsOn': %s", action->name,
                                fault.message);
    }
    return 0;
}

static int check_configuration(const Pen__ActionDeclaration *action,
                               const struct pen_provider *provider, struct pen_error *err)
{
    for (size_t i = 0; i < provider->keys_count; i++) {
        const struct pen_provider_key *key = &provider->keys[i];
        const char *value = pen_action_configuration(action, key->name);
        if (key->required && (value == NULL || value[0] == '\0'))
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action configuration for action '%s' is missing required "
                                "configuration '%s'",
                                action->name, key->name);
    }
    for (size_t i = 0; i < action->n_configuration; i++) {
        const char *name = action->configuration[i]->key;
        const struct pen_provider_key *key = pen_provider_key_find(provider, name);
        if (key == NULL)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action configuration for action '%s' contains unknown "
                                "configuration '%s'",
                                action->name, name == NULL ? "" : name);
        int code = check_value(action, key, action->configuration[i]->value, err);
        if (code < 0)
            return code;
    }
    return 0;
}

/* The first member that this action has though only Commands or Manual actions take it. */
static const char *misplaced_member(const Pen__ActionDeclaration *action,
                                    enum pen_provider_kind kind)
{
    if (action->has_timeout_in_minutes && kind != PEN_PROVIDER_MANUAL)
        return "timeoutInMinutes, which only manual approvals take";
    if (kind == PEN_PROVIDER_COMMANDS)
        return NULL;
    if (action->n_commands > 0)
        return "commands, which only Commands actions take";
    if (action->n_output_variables > 0)
        return "outputVariables, which only Commands actions take";
    if (action->n_environment_variables > 0)
        return "environmentVariables, which only Commands actions take";
    for (size_t i = 0; i < action->n_output_artifacts; i++) {
        if (action->output_artifacts[i]->n_files > 0)
            return "files of an output artifact, which only Commands actions take";
    }
    return NULL;
}

/* As a shell has it: what no command can set would have no value, and nobody would know why. */
static bool shell_name_valid(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return name != NULL && name[0] != '\0' && !(name[0] >= '0' && name[0] <= '9') &&
           strspn(name, letters) == strlen(name);
}

static int check_output_variables(const Pen__ActionDeclaration *action, struct pen_error *err)
{
    for (size_t i = 0; i < action->n_output_variables; i++) {
        const char *name = action->output_variables[i];
        if (!shell_name_valid(name))
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action %s: the output variable '%.128s' is no name of a shell's "
                                "variable: letters, digits and _, no digit first",
                                action->name, name);
        for (size_t j = 0; j < i; j++) {
            if (same(action->output_variables[j], name))
                return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                    "Action %s declares the output variable '%s' more than once",
                                    action->name, name);
        }
    }
    return 0;
}

static int check_environment(const Pen__ActionDeclaration *action, struct pen_error *err)
{
    for (size_t i = 0; i < action->n_environment_variables; i++) {
        const char *name = action->environment_variables[i]->name;
        if (!shell_name_valid(name))
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action %s: the environment variable '%.128s' is not a name of a "
                                "shell's variable: letters, digits and _, no digit first",
                                action->name, name == NULL ? "" : name);
        if (strncmp(name, "PENSTOCK_", strlen("PENSTOCK_")) == 0)
            return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                "Action %s: the environment variable '%.128s' begins with "
                                "PENSTOCK_, which is reserved",
                                action->name, name);
        for (size_t j = 0; j < i; j++) {
            if (same(action->environment_variables[j]->name, name))
                return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                                    "Action %s declares the environment variable '%s' more than "
                                    "once",
                                    action->name, name);
        }
    }
    return 0;
}

static int check_commands(const Pen__ActionDeclaration *action, struct pen_error *err)
{
    if (action->n_commands == 0)
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                            "Action %s must have a non-empty commands field", action->name);
    if (same(pen_action_configuration(action, "Pipefail"), "true") &&
        !same(pen_action_configuration(action, "Shell"), "bash"))
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR,
                            "Action configuration for action '%s' has 'true' for 'Pipefail', which "
                            "needs 'bash' for 'Shell': /bin/sh may not know it",
                            action->name);
    int code = check_output_variables(action, err);
    return code < 0 ? code : check_environment(action, err);
}

static int check_against(const Pen__ActionDeclaration *action, const struct pen_provider *provider,
                         struct pen_error *err)
{
    const char *misplaced = misplaced_member(action, provider->kind);
    if (misplaced != NULL)
        return pen_fail_api(err, PEN_EINVAL, ACTION_ERROR, "Action %s has %s", action->name,
                            misplaced);
    int code = check_count(action, "input", action->n_input_artifacts, provider->inputs_min,
                           provider->inputs_max, err);
    if (code == 0)
        code = check_count(action, "output", action->n_output_artifacts, provider->outputs_min,
                           provider->outputs_max, err);
    if (code == 0)
        code = check_configuration(action, provider, err);
    if (code == 0 && provider->kind == PEN_PROVIDER_COMMANDS)
        code = check_commands(action, err);
    return code;
}

int pen_provider_check(const Pen__ActionDeclaration *action, const struct pen_custom_types *types,
                       struct pen_error *err)
{
    const Pen__ActionTypeId *id = action->action_type_id;
    const char *region = types == NULL ? NULL : types->region;
    const Pen__ActionType *type = pen_action_is_custom(id) ? pen_custom_type_find(types, id) : NULL;
    if (type != NULL) {
        struct pen_provider_key keys[PEN_ACTION_TYPE_PROPERTIES_MAX];
        struct pen_provider custom;
        pen_action_type_provider(type, keys, &custom);
        int code = check_against(action, &custom, err);
        return code < 0 ? code : pen_custom_action_check(action, type, region, err);
    }
    const struct pen_provider *provider = pen_provider_find(id);
    if (provider == NULL)
        return pen_action_type_unavailable(action, types, err);
    return check_against(action, provider, err);
}
