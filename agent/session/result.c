/* From the shim's exit record to the result that the controller gets. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/str.h"

static bool declared(const Pen__Capsule *capsule, const char *name, size_t size)
{
    for (size_t i = 0; i < capsule->n_output_variables; i++)
        if (strlen(capsule->output_variables[i]) == size &&
            memcmp(capsule->output_variables[i], name, size) == 0)
            return true;
    return false;
}

static void variable_add(struct pen_session *self, Pen__Finished *finished, const char *text,
                         size_t name_size, size_t size)
{
    Pen__Finished__OutputVariablesEntry *entry =
        NEW(self, Pen__Finished__OutputVariablesEntry, pen__finished__output_variables_entry__init);
    if (entry == NULL)
        return;
    finished->output_variables[finished->n_output_variables++] = entry;
    entry->key = strndup(text, name_size);
    entry->value = strndup(text + name_size + 1, size - name_size - 1);
    if (entry->key == NULL || entry->value == NULL)
        self->out_of_memory = true;
}

/* NAME=value texts, each with a zero behind it. Returns what is wrong with them, or NULL. */
static const char *variables_parse(struct pen_session *self, const Pen__Capsule *capsule,
                                   Pen__Finished *finished, const ProtobufCBinaryData *bytes)
{
    if (bytes->len > PEN_VARIABLES_MAX)
        return "the output variables are larger than 122,880 bytes";
    if (capsule->n_output_variables == 0 || bytes->len == 0)
        return NULL;
    finished->output_variables =
        calloc(capsule->n_output_variables, sizeof *finished->output_variables);
    if (finished->output_variables == NULL) {
        self->out_of_memory = true;
        return NULL;
    }
    const char *text = (const char *)bytes->data;
    size_t left = bytes->len;
    while (left > 0) {
        const char *end = memchr(text, 0, left);
        if (end == NULL)
            return "the output variables were not written to their end";
        size_t size = (size_t)(end - text);
        const char *equals = memchr(text, '=', size);
        if (equals == NULL || !declared(capsule, text, (size_t)(equals - text)) ||
            finished->n_output_variables == capsule->n_output_variables)
            return "the output variables are not those that were declared";
        if (!pen_utf8_valid(text, size))
            return "an output variable is not UTF-8";
        variable_add(self, finished, text, (size_t)(equals - text), size);
        left -= size + 1;
        text = end + 1;
    }
    return NULL;
}

static void set_reason(struct pen_session *self, Pen__Finished *finished, const char *reason)
{
    free(finished->reason);
    finished->reason = reason == NULL ? NULL : new_text(self, reason);
}

static void judge(struct pen_session *self, const struct attempt *attempt,
                  const Pen__ShimExit *shim_exit, Pen__Finished *finished)
{
    finished->has_kind = true;
    finished->kind = PEN__FINISH_KIND__EXITED;
    if (shim_exit->timed_out) {
        finished->kind = PEN__FINISH_KIND__KILLED;
        finished->has_timed_out = finished->timed_out = true;
        set_reason(self, finished, "it ran longer than its time-out");
    } else if (shim_exit->killed) {
        finished->kind = PEN__FINISH_KIND__KILLED;
        set_reason(self, finished, attempt->kill_reason != NULL ? attempt->kill_reason : "killed");
    } else if (!shim_exit->has_exit_code && !shim_exit->has_signal) {
        finished->kind = PEN__FINISH_KIND__FAILED_SETUP;
        set_reason(self, finished, shim_exit->reason);
    } else if (shim_exit->reason != NULL) {
        set_reason(self, finished, shim_exit->reason);
    }
}

static void copy_log_facts(struct pen_session *self, const Pen__ShimExit *shim_exit,
                           Pen__Finished *finished)
{
    finished->has_log_size = true;
    finished->log_size = shim_exit->log_size;
    finished->has_log_cut = finished->log_cut = shim_exit->log_cut;
    if (!shim_exit->has_log_sha256 || shim_exit->log_sha256.len == 0)
        return;
    finished->log_sha256.data = malloc(shim_exit->log_sha256.len);
    if (finished->log_sha256.data == NULL) {
        self->out_of_memory = true;
        return;
    }
    memcpy(finished->log_sha256.data, shim_exit->log_sha256.data, shim_exit->log_sha256.len);
    finished->log_sha256.len = shim_exit->log_sha256.len;
    finished->has_log_sha256 = true;
}

Pen__Finished *finished_from_exit(struct pen_session *self, const struct attempt *attempt,
                                  const Pen__ShimExit *shim_exit)
{
    Pen__Finished *finished = NEW(self, Pen__Finished, pen__finished__init);
    if (finished == NULL)
        return NULL;
    judge(self, attempt, shim_exit, finished);
    finished->has_exit_code = shim_exit->has_exit_code;
    finished->exit_code = shim_exit->exit_code;
    finished->has_signal = shim_exit->has_signal;
    finished->signal = shim_exit->signal;
    finished->has_out_of_memory = finished->out_of_memory = shim_exit->out_of_memory;
    finished->has_failed_command = shim_exit->has_failed_command;
    finished->failed_command = shim_exit->failed_command;
    finished->has_began_ms = finished->has_ended_ms = true;
    finished->began_ms = shim_exit->began_ms;
    finished->ended_ms = shim_exit->ended_ms;
    copy_log_facts(self, shim_exit, finished);
    const char *wrong =
        shim_exit->has_variables || attempt->capsule->n_output_variables == 0
            ? variables_parse(self, attempt->capsule, finished, &shim_exit->variables)
            : "its output variables are lost: they are larger than 122,880 bytes, or a command "
              "ended or replaced the shell before they were read";
    if (wrong != NULL && finished->kind == PEN__FINISH_KIND__EXITED && finished->exit_code == 0) {
        finished->kind = PEN__FINISH_KIND__FAILED_OUTPUT;
        set_reason(self, finished, wrong);
    }
    return finished;
}
