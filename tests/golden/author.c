/* tests/golden/author.c - pipelines as a scenario writes them: declare, change, create, update */
#include "tests/golden/golden.h"

#include "controller/model/validate.h"

static Pen__PipelineDeclaration *current(const struct story *self)
{
    if (self->current == NULL)
        story_wrong(self, "declare a pipeline first");
    return self->current;
}

static Pen__StageDeclaration *find_declared_stage(const struct story *self, const char *name)
{
    for (size_t i = 0; i < current(self)->n_stages; i++)
        if (same(self->current->stages[i]->name, name))
            return self->current->stages[i];
    story_wrong(self, "the declaration has no stage '%s'", name);
}

static void add_input(Pen__ActionDeclaration *action, const char *name)
{
    Pen__InputArtifact *input = MAKE(Pen__InputArtifact, pen__input_artifact__init);
    input->name = mem_text(name);
    APPEND(action, input_artifacts, input);
}

/* What every action of its kind needs, so that the scenario need not say it. */
static void complete(Pen__PipelineDeclaration *declaration)
{
    declaration->artifact_store = MAKE(Pen__ArtifactStore, pen__artifact_store__init);
    declaration->artifact_store->type = mem_text("S3");
    declaration->artifact_store->location = mem_text("artifacts");
    bool first = true;
    for (size_t s = 0; s < declaration->n_stages; s++)
        for (size_t i = 0; i < declaration->stages[s]->n_actions; i++) {
            Pen__ActionDeclaration *action = declaration->stages[s]->actions[i];
            if (same(action->action_type_id->category, "Source")) {
                action_configure(action, "RepositoryName", "app");
                action_configure(action, "BranchName", "main");
                if (!first)
                    mem_set_text(&action->namespace_, NULL); /* one of a kind: Src */
                first = false;
            } else if (same(action->action_type_id->provider, "Commands")) {
                add_input(action, declaration->stages[0]->actions[0]->name);
            }
        }
}

/* An empty value takes the key away. */
static void set_configuration(Pen__ActionDeclaration *action, const char *key, const char *value)
{
    for (size_t i = 0; i < action->n_configuration; i++) {
        if (!same(action->configuration[i]->key, key))
            continue;
        Pen__ActionDeclaration__ConfigurationEntry *entry = action->configuration[i];
        if (*value == '\0') {
            action->configuration[i] = action->configuration[--action->n_configuration];
            free(entry->key);
            free(entry->value);
            free(entry);
        } else {
            mem_set_text(&entry->value, value);
        }
        return;
    }
    action_configure(action, key, value);
}

static void drop_commands(Pen__ActionDeclaration *action)
{
    for (size_t i = 0; i < action->n_commands; i++)
        free(action->commands[i]);
    free(action->commands);
    action->commands = NULL;
    action->n_commands = 0;
}

static void drop_inputs(Pen__ActionDeclaration *action)
{
    for (size_t i = 0; i < action->n_input_artifacts; i++)
        mem_free_message(action->input_artifacts[i]);
    free(action->input_artifacts);
    action->input_artifacts = NULL;
    action->n_input_artifacts = 0;
}

static void set_commands(Pen__ActionDeclaration *action, const char *value)
{
    drop_commands(action);
    if (*value != '\0')
        APPEND(action, commands, mem_text(value));
}

static void set_inputs(Pen__ActionDeclaration *action, const char *value)
{
    drop_inputs(action);
    char *copy = mem_text(value);
    char *rest = copy;
    char *name;
    while (*value != '\0' && (name = strsep(&rest, ",")) != NULL)
        add_input(action, name);
    free(copy);
}

static void set_output(Pen__ActionDeclaration *action, const char *value)
{
    Pen__OutputArtifact *output = MAKE(Pen__OutputArtifact, pen__output_artifact__init);
    output->name = mem_text(value);
    APPEND(action, output_artifacts, output);
}

static void set_environment(Pen__ActionDeclaration *action, const char *value)
{
    Pen__EnvironmentVariable *variable =
        MAKE(Pen__EnvironmentVariable, pen__environment_variable__init);
    const char *colon = strchr(value, ':');
    variable->name = mem_format("%.*s", colon == NULL ? 0 : (int)(colon - value), value);
    variable->value = mem_text(colon == NULL ? value : colon + 1);
    APPEND(action, environment_variables, variable);
}

static void set_namespace(Pen__ActionDeclaration *action, const char *value)
{
    mem_set_text(&action->namespace_, value);
}

static void set_region(Pen__ActionDeclaration *action, const char *value)
{
    mem_set_text(&action->region, value);
}

static void set_category(Pen__ActionDeclaration *action, const char *value)
{
    mem_set_text(&action->action_type_id->category, value);
}

static void set_provider(Pen__ActionDeclaration *action, const char *value)
{
    mem_set_text(&action->action_type_id->provider, value);
}

static void set_timeout(Pen__ActionDeclaration *action, const char *value)
{
    SET(action, timeout_in_minutes, (int32_t)strtol(value, NULL, 10));
}

/* An action of this type, which it takes, without what its kind had. */
static void make_custom(Pen__ActionDeclaration *action, Pen__ActionTypeId *type)
{
    mem_free_message(action->action_type_id);
    action->action_type_id = type;
    drop_commands(action);
    drop_inputs(action);
    while (action->n_output_artifacts > 0)
        mem_free_message(action->output_artifacts[--action->n_output_artifacts]);
    while (action->n_configuration > 0) {
        Pen__ActionDeclaration__ConfigurationEntry *entry =
            action->configuration[--action->n_configuration];
        mem_free_message(entry);
    }
}

/* "action NAME member=value...": a member of the action, or (with a capital) its configuration. */
static const struct {
    const char *name;
    void (*set)(Pen__ActionDeclaration *action, const char *value);
} members[] = {
    {"command", set_commands},  {"inputs", set_inputs},       {"output", set_output},
    {"env", set_environment},   {"namespace", set_namespace}, {"region", set_region},
    {"category", set_category}, {"provider", set_provider},   {"timeout", set_timeout},
};

static void author_action(struct story *self, const struct command *command)
{
    Pen__ActionDeclaration *action = find_declared(current(self), command_word(self, command, 1));
    const char *custom = command_value(command, "custom");
    if (custom != NULL)
        make_custom(action, worker_type(self, custom));
    for (size_t i = 2; i < command->count; i++) {
        char *word = command->words[i];
        char *value = strchr(word, '=');
        if (value == NULL)
            story_wrong(self, "'%s' is not member=value", word);
        char *member = mem_format("%.*s", (int)(value++ - word), word);
        bool known = same(member, "custom");
        for (size_t m = 0; m < sizeof members / sizeof members[0]; m++)
            if (same(members[m].name, member)) {
                members[m].set(action, value);
                known = true;
            }
        if (!known && member[0] >= 'A' && member[0] <= 'Z')
            set_configuration(action, member, value);
        else if (!known)
            story_wrong(self, "an action has no member '%s' here", member);
        free(member);
    }
}

/* ---- conditions: "stage NAME beforeEntry=FAIL rule=VariableCheck Variable=x Operator=EQ Value=y"
 */

static Pen__RuleDeclaration *new_rule(const struct command *command, size_t number)
{
    const char *provider = command_value(command, "rule");
    if (provider == NULL)
        return NULL;
    Pen__RuleDeclaration *rule = MAKE(Pen__RuleDeclaration, pen__rule_declaration__init);
    const char *name = command_value(command, "name");
    rule->name = name != NULL ? mem_text(name) : mem_format("rule-%zu", number);
    rule->rule_type_id = MAKE(Pen__RuleTypeId, pen__rule_type_id__init);
    rule->rule_type_id->category = mem_text("Rule");
    rule->rule_type_id->owner = mem_text("AWS");
    rule->rule_type_id->provider = mem_text(provider);
    rule->rule_type_id->version = mem_text("1");
    const char *timeout = command_value(command, "timeout");
    if (timeout != NULL)
        SET(rule, timeout_in_minutes, (int32_t)strtol(timeout, NULL, 10));
    if (command_value(command, "command") != NULL)
        APPEND(rule, commands, mem_text(command_value(command, "command")));
    for (size_t i = 2; i < command->count; i++) {
        const char *word = command->words[i];
        const char *value = strchr(word, '=');
        if (value == NULL || word[0] < 'A' || word[0] > 'Z')
            continue;
        Pen__RuleDeclaration__ConfigurationEntry *entry =
            MAKE(Pen__RuleDeclaration__ConfigurationEntry,
                 pen__rule_declaration__configuration_entry__init);
        entry->key = mem_format("%.*s", (int)(value - word), word);
        entry->value = mem_text(value + 1);
        APPEND(rule, configuration, entry);
    }
    return rule;
}

/* Add the rule to the one condition of this kind, which is made when it is not there yet. */
static void add_rule(size_t *count, Pen__Condition ***conditions, const char *result,
                     const struct command *command)
{
    if (*count == 0) {
        *conditions = mem_grow(NULL, 0);
        (*conditions)[(*count)++] = MAKE(Pen__Condition, pen__condition__init);
        mem_set_text(&(*conditions)[0]->result, result);
    }
    Pen__RuleDeclaration *rule = new_rule(command, (*conditions)[0]->n_rules + 1);
    if (rule != NULL)
        APPEND((*conditions)[0], rules, rule);
}

/* `results`: of onFailure and of its condition, or with a comma the one and, if any, the other. */
static void author_failure(Pen__StageDeclaration *stage, const char *results,
                           const struct command *command)
{
    const char *comma = strchr(results, ',');
    char *result = mem_format("%.*s", (int)strcspn(results, ","), results);
    const char *of_condition = comma == NULL ? result : comma[1] == '\0' ? NULL : comma + 1;
    if (stage->on_failure == NULL)
        stage->on_failure = MAKE(Pen__FailureConditions, pen__failure_conditions__init);
    if (command_value(command, "rule") != NULL)
        add_rule(&stage->on_failure->n_conditions, &stage->on_failure->conditions, of_condition,
                 command);
    mem_set_text(&stage->on_failure->result, result);
    free(result);
    const char *mode = command_value(command, "retryMode");
    if (mode != NULL && stage->on_failure->retry_configuration == NULL) {
        stage->on_failure->retry_configuration =
            MAKE(Pen__RetryConfiguration, pen__retry_configuration__init);
        stage->on_failure->retry_configuration->retry_mode = mem_text(mode);
    }
}

static void author_stage(struct story *self, const struct command *command)
{
    Pen__StageDeclaration *stage = find_declared_stage(self, command_word(self, command, 1));
    const char *entry = command_value(command, "beforeEntry");
    const char *success = command_value(command, "onSuccess");
    const char *failure = command_value(command, "onFailure");
    if (entry != NULL) {
        if (stage->before_entry == NULL)
            stage->before_entry =
                MAKE(Pen__BeforeEntryConditions, pen__before_entry_conditions__init);
        add_rule(&stage->before_entry->n_conditions, &stage->before_entry->conditions, entry,
                 command);
    }
    if (success != NULL) {
        if (stage->on_success == NULL)
            stage->on_success = MAKE(Pen__SuccessConditions, pen__success_conditions__init);
        add_rule(&stage->on_success->n_conditions, &stage->on_success->conditions, success,
                 command);
    }
    if (failure != NULL)
        author_failure(stage, failure, command);
}

/* ---- triggers: "trigger S branches=main,!wip tags=v1 paths=docs"; one push filter each. "trigger
 * S pull events=OPEN,CLOSED branches=main paths=docs": one filter of pull requests each */

static Pen__GitFilterCriteria *new_criteria(const struct command *command, const char *name)
{
    const char *value = command_value(command, name);
    if (value == NULL)
        return NULL;
    Pen__GitFilterCriteria *criteria = MAKE(Pen__GitFilterCriteria, pen__git_filter_criteria__init);
    char *copy = mem_text(value);
    char *rest = copy;
    char *pattern;
    while ((pattern = strsep(&rest, ",")) != NULL)
        if (*pattern == '!')
            APPEND(criteria, excludes, mem_text(pattern + 1));
        else
            APPEND(criteria, includes, mem_text(pattern));
    free(copy);
    return criteria;
}

static Pen__GitPullRequestFilter *new_pull_request_filter(const struct command *command)
{
    Pen__GitPullRequestFilter *filter =
        MAKE(Pen__GitPullRequestFilter, pen__git_pull_request_filter__init);
    filter->branches = new_criteria(command, "branches");
    filter->file_paths = new_criteria(command, "paths");
    char *copy = mem_text(command_value(command, "events"));
    char *rest = copy;
    char *event;
    while (rest != NULL && (event = strsep(&rest, ",")) != NULL)
        APPEND(filter, events, mem_text(event));
    free(copy);
    return filter;
}

static void author_trigger(struct story *self, const struct command *command)
{
    const char *source = command_word(self, command, 1);
    Pen__PipelineDeclaration *declaration = current(self);
    Pen__PipelineTriggerDeclaration *trigger = NULL;
    for (size_t i = 0; i < declaration->n_triggers; i++)
        if (same(declaration->triggers[i]->git_configuration->source_action_name, source))
            trigger = declaration->triggers[i];
    if (trigger == NULL) {
        trigger = MAKE(Pen__PipelineTriggerDeclaration, pen__pipeline_trigger_declaration__init);
        trigger->provider_type = mem_text("CodeStarSourceConnection");
        trigger->git_configuration = MAKE(Pen__GitConfiguration, pen__git_configuration__init);
        trigger->git_configuration->source_action_name = mem_text(source);
        APPEND(declaration, triggers, trigger);
    }
    if (command->count > 2 && same(command->words[2], "pull")) {
        APPEND(trigger->git_configuration, pull_request, new_pull_request_filter(command));
        return;
    }
    Pen__GitPushFilter *push = MAKE(Pen__GitPushFilter, pen__git_push_filter__init);
    push->branches = new_criteria(command, "branches");
    push->tags = new_criteria(command, "tags");
    push->file_paths = new_criteria(command, "paths");
    APPEND(trigger->git_configuration, push, push);
}

/* ---- the pipeline itself */

/* "pipeline p QUEUED Source:S=source | Build:Compile=run, Lint=run@2" */
static void author_declare(struct story *self, const struct command *command)
{
    const char *name = command_word(self, command, 1);
    const char *mode = command_word(self, command, 2);
    bool has_mode = strchr(mode, ':') == NULL;
    struct pen_buf stages = {0};
    for (size_t i = has_mode ? 3 : 2; i < command->count; i++)
        pen_buf_puts(&stages, command->words[i]);
    if (strchr(pen_buf_text(&stages), ':') == NULL)
        story_wrong(self, "stages look like Source:S=source | Build:B=run");
    size_t place = 0;
    while (place < self->declared_count && !same(self->declared[place]->name, name))
        place++;
    if (place == STORY_DECLARED)
        story_wrong(self, "too many pipelines");
    if (place == self->declared_count)
        self->declared_count++;
    else
        mem_free_message(self->declared[place]);
    self->declared[place] = declare(name, has_mode ? mode : NULL, pen_buf_text(&stages));
    self->current = self->declared[place];
    complete(self->current);
    pen_buf_release(&stages);
}

/* As the API does it: check, fill in, hand over. */
static void post(struct story *self, bool create)
{
    struct pen_error err;
    Pen__PipelineDeclaration *declaration = mem_copy(current(self));
    if (worker_validate(self, declaration, &err) < 0 ||
        pen_model_fill_defaults(declaration, &err) < 0) {
        tell(self, self->world.now_ms, "refused: %s: %s", err.api_name, err.message);
        mem_free_message(declaration);
        return;
    }
    if (create) {
        Pen__CreatePipeline *request = MAKE(Pen__CreatePipeline, pen__create_pipeline__init);
        request->declaration = declaration;
        world_post(&self->world, PEN__INPUT__WHAT_CREATE_PIPELINE, request);
    } else {
        Pen__UpdatePipeline *request = MAKE(Pen__UpdatePipeline, pen__update_pipeline__init);
        request->declaration = declaration;
        world_post(&self->world, PEN__INPUT__WHAT_UPDATE_PIPELINE, request);
    }
    tell_reply(self);
}

static void author_variable(struct story *self, const struct command *command)
{
    const char *word = command_word(self, command, 1);
    const char *value = strchr(word, '=');
    Pen__PipelineVariableDeclaration *variable =
        MAKE(Pen__PipelineVariableDeclaration, pen__pipeline_variable_declaration__init);
    variable->name = mem_format("%.*s", (int)strcspn(word, "="), word);
    variable->default_value = mem_text(value == NULL ? NULL : value + 1);
    APPEND(current(self), variables, variable);
}

static void author_mode(struct story *self, const struct command *command)
{
    mem_set_text(&current(self)->execution_mode, command_word(self, command, 1));
}

static void author_type(struct story *self, const struct command *command)
{
    mem_set_text(&current(self)->pipeline_type, command_word(self, command, 1));
}

static void author_create(struct story *self, const struct command *command)
{
    (void)command;
    post(self, true);
}

static void author_update(struct story *self, const struct command *command)
{
    (void)command;
    post(self, false);
}

static void author_pipeline(struct story *self, const struct command *command)
{
    author_declare(self, command);
    post(self, true);
}

static void author_use(struct story *self, const struct command *command)
{
    const char *name = command_word(self, command, 1);
    for (size_t i = 0; i < self->declared_count; i++)
        if (same(self->declared[i]->name, name)) {
            self->current = self->declared[i];
            return;
        }
    story_wrong(self, "no pipeline '%s' was declared", name);
}

static const struct {
    const char *name;
    void (*perform)(struct story *self, const struct command *command);
} verbs[] = {
    {"pipeline", author_pipeline}, {"declare", author_declare},   {"action", author_action},
    {"stage", author_stage},       {"variable", author_variable}, {"mode", author_mode},
    {"type", author_type},         {"create", author_create},     {"update", author_update},
    {"use", author_use},           {"trigger", author_trigger},
};

bool author_perform(struct story *self, const struct command *command)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (same(verbs[i].name, command->words[0])) {
            verbs[i].perform(self, command);
            return true;
        }
    return false;
}

void author_release(struct story *self)
{
    for (size_t i = 0; i < self->declared_count; i++)
        mem_free_message(self->declared[i]);
}
