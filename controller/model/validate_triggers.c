/* Triggers: which sources they watch, and filters that make sense. */
#include <stdbool.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/model/glob.h"
#include "controller/model/providers.h"
#include "controller/model/validate.h"
#include "controller/model/validate_internal.h"

#define STRUCTURE "InvalidStructureException"

/* Whether the first stage has a connection source of this name. */
static bool is_connection_source(const Pen__PipelineDeclaration *declaration, const char *name)
{
    const Pen__StageDeclaration *first = declaration->stages[0];
    for (size_t i = 0; i < first->n_actions; i++) {
        const struct pen_provider *provider = pen_provider_find(first->actions[i]->action_type_id);
        if (provider != NULL && provider->kind == PEN_PROVIDER_CONNECTION &&
            pen_str_equal(first->actions[i]->name, name))
            return true;
    }
    return false;
}

static int check_patterns(const char *source, const char *criterion, size_t count,
                          char *const *patterns, struct pen_error *err)
{
    if (count > PEN_TRIGGER_PATTERNS_MAX)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s': %s has %zu patterns of one kind and "
                            "takes at most %d",
                            source, criterion, count, PEN_TRIGGER_PATTERNS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct pen_error fault = {0};
        if (pen_trigger_glob_check(patterns[i], &fault) < 0)
            return pen_fail_api(err, PEN_EINVAL, STRUCTURE, "Trigger of source action '%s': %s: %s",
                                source, criterion, fault.message);
    }
    return 0;
}

static int check_criteria(const char *source, const char *criterion,
                          const Pen__GitFilterCriteria *criteria, struct pen_error *err)
{
    if (criteria == NULL)
        return 0;
    if (criteria->n_includes + criteria->n_excludes == 0)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s': %s has neither includes nor excludes",
                            source, criterion);
    int code = check_patterns(source, criterion, criteria->n_includes, criteria->includes, err);
    if (code == 0)
        code = check_patterns(source, criterion, criteria->n_excludes, criteria->excludes, err);
    return code;
}

static int check_push(const char *source, const Pen__GitPushFilter *push, struct pen_error *err)
{
    bool with_branches = push->branches != NULL || push->file_paths != NULL;
    if ((push->tags != NULL) == with_branches || (push->branches == NULL && with_branches))
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s': a push filter takes tags, branches, or "
                            "branches with filePaths",
                            source);
    int code = check_criteria(source, "tags", push->tags, err);
    if (code == 0)
        code = check_criteria(source, "branches", push->branches, err);
    if (code == 0)
        code = check_criteria(source, "filePaths", push->file_paths, err);
    return code;
}

static int check_pull_request(const char *source, const Pen__GitPullRequestFilter *filter,
                              struct pen_error *err)
{
    if (filter->branches == NULL)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s': a pull request filter takes branches, "
                            "or branches with filePaths",
                            source);
    for (size_t i = 0; i < filter->n_events; i++) {
        const char *event = filter->events[i];
        if (!pen_str_equal(event, "OPEN") && !pen_str_equal(event, "UPDATED") &&
            !pen_str_equal(event, "CLOSED"))
            return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                                "Trigger of source action '%s': event '%.30s' is none of OPEN, "
                                "UPDATED, CLOSED",
                                source, event);
    }
    int code = check_criteria(source, "branches", filter->branches, err);
    return code < 0 ? code : check_criteria(source, "filePaths", filter->file_paths, err);
}

static bool criteria_equal(const Pen__GitFilterCriteria *a, const Pen__GitFilterCriteria *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    if (a->n_includes != b->n_includes || a->n_excludes != b->n_excludes)
        return false;
    for (size_t i = 0; i < a->n_includes; i++) {
        if (strcmp(a->includes[i], b->includes[i]) != 0)
            return false;
    }
    for (size_t i = 0; i < a->n_excludes; i++) {
        if (strcmp(a->excludes[i], b->excludes[i]) != 0)
            return false;
    }
    return true;
}

static bool pull_requests_equal(const Pen__GitPullRequestFilter *a,
                                const Pen__GitPullRequestFilter *b)
{
    if (a->n_events != b->n_events)
        return false;
    for (size_t i = 0; i < a->n_events; i++) {
        if (strcmp(a->events[i], b->events[i]) != 0)
            return false;
    }
    return criteria_equal(a->branches, b->branches) && criteria_equal(a->file_paths, b->file_paths);
}

/* Whether an element of push or of pull_request occurs twice. */
static bool has_duplicate(const Pen__GitConfiguration *git)
{
    for (size_t i = 0; i < git->n_push; i++) {
        for (size_t j = 0; j < i; j++) {
            if (criteria_equal(git->push[i]->tags, git->push[j]->tags) &&
                criteria_equal(git->push[i]->branches, git->push[j]->branches) &&
                criteria_equal(git->push[i]->file_paths, git->push[j]->file_paths))
                return true;
        }
    }
    for (size_t i = 0; i < git->n_pull_request; i++) {
        for (size_t j = 0; j < i; j++) {
            if (pull_requests_equal(git->pull_request[i], git->pull_request[j]))
                return true;
        }
    }
    return false;
}

static int check_git(const Pen__PipelineDeclaration *declaration, const Pen__GitConfiguration *git,
                     struct pen_error *err)
{
    const char *source = git->source_action_name == NULL ? "" : git->source_action_name;
    if (!is_connection_source(declaration, source))
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "A trigger names the source action '%s', which is no "
                            "CodeStarSourceConnection action of the first stage",
                            source);
    if (git->n_push > PEN_TRIGGER_FILTERS_MAX || git->n_pull_request > PEN_TRIGGER_FILTERS_MAX)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s' has more than %d push or pull request "
                            "filters",
                            source, PEN_TRIGGER_FILTERS_MAX);
    int code = 0;
    for (size_t i = 0; code == 0 && i < git->n_push; i++)
        code = check_push(source, git->push[i], err);
    for (size_t i = 0; code == 0 && i < git->n_pull_request; i++)
        code = check_pull_request(source, git->pull_request[i], err);
    if (code == 0 && has_duplicate(git))
        code = pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Trigger of source action '%s' has the same filter more than once",
                            source);
    return code;
}

static int check_trigger(const Pen__PipelineDeclaration *declaration, size_t index,
                         struct pen_error *err)
{
    const Pen__PipelineTriggerDeclaration *trigger = declaration->triggers[index];
    if (!pen_str_equal(trigger->provider_type, "CodeStarSourceConnection"))
        return pen_fail_api(err, PEN_EINVAL, "ValidationException",
                            "A trigger has the providerType '%.60s': only "
                            "CodeStarSourceConnection is known",
                            trigger->provider_type == NULL ? "" : trigger->provider_type);
    if (trigger->git_configuration == NULL)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE, "A trigger has no gitConfiguration");
    for (size_t i = 0; i < index; i++) {
        if (pen_str_equal(declaration->triggers[i]->git_configuration->source_action_name,
                          trigger->git_configuration->source_action_name))
            return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                                "Source action '%s' has more than one trigger",
                                trigger->git_configuration->source_action_name);
    }
    return check_git(declaration, trigger->git_configuration, err);
}

int pen_validate_triggers(const Pen__PipelineDeclaration *declaration, struct pen_error *err)
{
    if (declaration->n_triggers > PEN_TRIGGERS_MAX)
        return pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "Pipeline has %zu triggers. There should be a maximum of %d",
                            declaration->n_triggers, PEN_TRIGGERS_MAX);
    size_t size = 0;
    int code = 0;
    for (size_t i = 0; code == 0 && i < declaration->n_triggers; i++) {
        code = check_trigger(declaration, i, err);
        size += pen__pipeline_trigger_declaration__get_packed_size(declaration->triggers[i]);
    }
    if (code == 0 && size > PEN_TRIGGERS_BYTES_MAX)
        code = pen_fail_api(err, PEN_EINVAL, STRUCTURE,
                            "The triggers of the pipeline take more than %d bytes",
                            PEN_TRIGGERS_BYTES_MAX);
    return code;
}
