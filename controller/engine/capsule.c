/* controller/engine/capsule.c - everything that one attempt needs, from rows alone */
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "controller/engine/decide.h"

static void add_maps(Pen__Capsule *capsule, const Pen__ActionExecutionRow *row)
{
    for (size_t i = 0; i < row->n_resolved_environment; i++) {
        Pen__Capsule__EnvironmentEntry *entry =
            MAKE(Pen__Capsule__EnvironmentEntry, pen__capsule__environment_entry__init);
        entry->key = mem_text(row->resolved_environment[i]->name);
        entry->value = mem_text(row->resolved_environment[i]->value);
        APPEND(capsule, environment, entry);
    }
    for (size_t i = 0; i < row->n_resolved_configuration; i++) {
        Pen__Capsule__ConfigurationEntry *entry =
            MAKE(Pen__Capsule__ConfigurationEntry, pen__capsule__configuration_entry__init);
        entry->key = mem_text(row->resolved_configuration[i]->key);
        entry->value = mem_text(row->resolved_configuration[i]->value);
        APPEND(capsule, configuration, entry);
    }
}

static void add_outputs(Pen__Capsule *capsule, const Pen__ActionDeclaration *declaration)
{
    for (size_t i = 0; i < declaration->n_output_artifacts; i++) {
        const Pen__OutputArtifact *output = declaration->output_artifacts[i];
        Pen__ArtifactWish *wish = MAKE(Pen__ArtifactWish, pen__artifact_wish__init);
        wish->name = mem_text(output->name);
        for (size_t j = 0; j < output->n_files; j++)
            APPEND(wish, files, mem_text(output->files[j]));
        APPEND(capsule, outputs, wish);
    }
    for (size_t i = 0; i < declaration->n_output_variables; i++)
        APPEND(capsule, output_variables, mem_text(declaration->output_variables[i]));
}

int64_t action_time_ms(const struct pen_engine *engine, const struct action *action)
{
    return action->declaration->has_timeout_in_minutes
               ? (int64_t)action->declaration->timeout_in_minutes * 60 * 1000
               : engine->options.action_timeout_ms;
}

Pen__Capsule *capsule_make(const struct pen_engine *engine, const struct attempt *attempt)
{
    CHECK(attempt->action != NULL);
    const struct action *action = attempt->action;
    const Pen__ActionExecutionRow *row = action->row;
    Pen__Capsule *capsule = MAKE(Pen__Capsule, pen__capsule__init);
    capsule->pipeline = mem_text(row->pipeline);
    SET(capsule, pipeline_version, row->pipeline_version);
    capsule->pipeline_execution_id = mem_text(row->execution_id);
    capsule->stage = mem_text(row->stage);
    capsule->action = mem_text(row->action);
    capsule->action_execution_id = mem_text(row->id);
    SET(capsule, fence, attempt->row->fence);
    SET(capsule, action_class, row->action_class);
    capsule->provider = mem_text(row->type->provider);
    for (size_t i = 0; i < row->n_resolved_commands; i++)
        APPEND(capsule, commands, mem_text(row->resolved_commands[i]));
    add_maps(capsule, row);
    for (size_t i = 0; i < row->n_inputs; i++)
        APPEND(capsule, inputs, mem_copy(row->inputs[i]->artifact));
    add_outputs(capsule, action->declaration);
    SET(capsule, timeout_ms,
        attempt->row->has_timeout_ms ? attempt->row->timeout_ms : action_time_ms(engine, action));
    SET(capsule, log_bytes_max, PEN_LIMIT_LOG_BYTES_DEFAULT);
    capsule->region = mem_text(row->region != NULL ? row->region : engine->setting->row->region);
    capsule->account = mem_text(engine->setting->row->account);
    return capsule;
}
