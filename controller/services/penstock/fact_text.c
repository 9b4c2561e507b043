#include "controller/services/penstock/fact_text.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/units.h"
#include "controller/services/codepipeline/names.h"

static const char *or_nothing(const char *text)
{
    return text == NULL ? "" : text;
}

/* "WORD: text", or only the word. */
static void put_with(struct pen_buf *out, const char *word, const char *text)
{
    pen_buf_puts(out, word);
    if (text != NULL && text[0] != '\0')
        pen_buf_printf(out, ": %s", text);
}

const char *pen_fact_kind(const Pen__Fact *fact)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&pen__fact__descriptor, (unsigned)fact->what_case);
    return fact->what_case == 0 || field == NULL ? "unknown" : field->name;
}

static void put_execution(const Pen__Fact *fact, struct pen_buf *out)
{
    const char *word = NULL;
    switch (fact->what_case) {
    case PEN__FACT__WHAT_EXECUTION_STARTED:
        word = pen_trigger_type_name(fact->execution_started->trigger_type);
        pen_buf_printf(out, "execution started by %s", word == NULL ? "the controller" : word);
        if (fact->execution_started->trigger_detail != NULL)
            pen_buf_printf(out, " (%s)", fact->execution_started->trigger_detail);
        break;
    case PEN__FACT__WHAT_EXECUTION_STOPPING:
        put_with(out,
                 fact->execution_stopping->abandon ? "stop asked for, actions abandoned"
                                                   : "stop asked for",
                 fact->execution_stopping->reason);
        break;
    case PEN__FACT__WHAT_EXECUTION_ENDED:
        word = pen_execution_status_name(fact->execution_ended->status);
        pen_buf_printf(out, "execution %s", word == NULL ? "ended" : word);
        if (fact->execution_ended->superseded_by != NULL)
            pen_buf_printf(out, " by %s", fact->execution_ended->superseded_by);
        put_with(out, "", fact->execution_ended->summary);
        break;
    default: /* EXECUTION_WAITING */
        pen_buf_puts(out, "waits at the gate");
        break;
    }
}

static void put_stage(const Pen__Fact *fact, struct pen_buf *out)
{
    const char *word = NULL;
    switch (fact->what_case) {
    case PEN__FACT__WHAT_STAGE_STARTED:
        pen_buf_puts(out, fact->stage_started->rollback ? "stage entered, rolling back"
                                                        : "stage entered");
        break;
    case PEN__FACT__WHAT_STAGE_GROUP_STARTED:
        pen_buf_printf(out, "actions of run order %" PRIu32 " may start",
                       fact->stage_group_started->run_order);
        break;
    case PEN__FACT__WHAT_STAGE_ENDED:
        word = pen_stage_status_name(fact->stage_ended->status);
        pen_buf_printf(out, "stage %s", word == NULL ? "ended" : word);
        break;
    case PEN__FACT__WHAT_STAGE_RETRIED:
        pen_buf_printf(out, "stage retried%s, %s",
                       fact->stage_retried->automatic ? " automatically" : "",
                       or_nothing(fact->stage_retried->mode));
        break;
    case PEN__FACT__WHAT_CONDITION_STARTED:
        pen_buf_printf(out, "condition of %zu rules is checked", fact->condition_started->n_rules);
        break;
    case PEN__FACT__WHAT_RULE_ENDED:
        word = pen_action_status_name(fact->rule_ended->status);
        pen_buf_puts(out, "rule ");
        if (fact->rule_ended->rule != NULL)
            pen_buf_printf(out, "'%s' ", fact->rule_ended->rule);
        pen_buf_puts(out, word == NULL ? "ended" : word);
        put_with(out, "", fact->rule_ended->summary);
        break;
    case PEN__FACT__WHAT_WINDOW_FOUND:
        put_with(out, "window found", fact->window_found->summary);
        break;
    case PEN__FACT__WHAT_CONDITION_ENDED:
        word = pen_condition_status_name(fact->condition_ended->status);
        pen_buf_printf(out, "condition %s", word == NULL ? "ended" : word);
        put_with(out, "", fact->condition_ended->summary);
        break;
    default: /* TRANSITION_CHANGED */
        put_with(out,
                 fact->transition_changed->disabled ? "transition disabled" : "transition enabled",
                 fact->transition_changed->reason);
        break;
    }
}

static void put_action(const Pen__Fact *fact, struct pen_buf *out)
{
    const char *word = NULL;
    switch (fact->what_case) {
    case PEN__FACT__WHAT_ACTION_STARTED:
        pen_buf_puts(out, fact->action_started->action->rule_execution_id != NULL
                              ? "rule wants an agent for its commands"
                              : "action started");
        break;
    case PEN__FACT__WHAT_ACTION_PROGRESS:
        put_with(out, "progress", fact->action_progress->summary);
        if (fact->action_progress->has_percent_complete)
            pen_buf_printf(out, " %" PRIu32 "%%", fact->action_progress->percent_complete);
        break;
    case PEN__FACT__WHAT_ACTION_ENDED:
        word = pen_action_status_name(fact->action_ended->status);
        pen_buf_printf(out, "action %s", word == NULL ? "ended" : word);
        put_with(out, "",
                 fact->action_ended->error_message != NULL ? fact->action_ended->error_message
                                                           : fact->action_ended->summary);
        break;
    default: /* ACTION_REQUEUED */
        put_with(out,
                 fact->action_requeued->phase == PEN__ACTION_PHASE__ACTION_INDETERMINATE
                     ? "it is not known whether the action has run"
                     : "action queued again",
                 fact->action_requeued->reason);
        break;
    }
}

static void put_finished(const Pen__Finished *finished, struct pen_buf *out)
{
    if (finished == NULL)
        pen_buf_puts(out, "finished");
    else if (finished->kind == PEN__FINISH_KIND__EXITED && finished->signal != 0)
        pen_buf_printf(out, "ended by signal %" PRId32, finished->signal);
    else if (finished->kind == PEN__FINISH_KIND__EXITED)
        pen_buf_printf(out, "exited with %" PRId32, finished->exit_code);
    else if (finished->kind == PEN__FINISH_KIND__KILLED)
        pen_buf_puts(out, finished->timed_out ? "killed at its time-out" : "killed");
    else if (finished->kind == PEN__FINISH_KIND__INTERRUPTED)
        pen_buf_puts(out, "interrupted");
    else if (finished->kind == PEN__FINISH_KIND__NEVER_BEGAN)
        pen_buf_puts(out, "never began");
    else if (finished->kind == PEN__FINISH_KIND__REFUSED_START)
        pen_buf_puts(out, "refused by the agent");
    else if (finished->kind == PEN__FINISH_KIND__FAILED_SETUP)
        pen_buf_puts(out, "could not be set up");
    else
        pen_buf_puts(out, "made no output");
    if (finished != NULL)
        put_with(out, "", finished->reason);
}

static void put_stored(const Pen__AttemptStored *stored, struct pen_buf *out)
{
    char size[PEN_SIZE_TEXT_SIZE];
    pen_size_format_brief(stored->log_size, size);
    if (stored->artifact != NULL)
        pen_buf_printf(out, "artifact %s stored", stored->artifact);
    else
        pen_buf_printf(out, "log stored, %s", size);
}

static void put_attempt(const Pen__Fact *fact, struct pen_buf *out)
{
    switch (fact->what_case) {
    case PEN__FACT__WHAT_ATTEMPT_GRANTED:
        pen_buf_printf(out, "attempt %" PRIu64 " granted to agent %s", fact->attempt_granted->fence,
                       or_nothing(fact->attempt_granted->agent_id));
        break;
    case PEN__FACT__WHAT_ATTEMPT_STARTED:
        pen_buf_printf(out,
                       fact->attempt_started->started != NULL &&
                               fact->attempt_started->started->has_began_ms
                           ? "attempt %" PRIu64 " runs"
                           : "attempt %" PRIu64 " may begin",
                       fact->attempt_started->fence);
        break;
    case PEN__FACT__WHAT_ATTEMPT_STEP:
        pen_buf_printf(out, "attempt %" PRIu64 " ", fact->attempt_step->fence);
        if (fact->attempt_step->step != NULL && fact->attempt_step->step->summary != NULL)
            pen_buf_puts(out, fact->attempt_step->step->summary);
        else if (fact->attempt_step->step != NULL)
            pen_buf_printf(out, "at command %" PRIu32, fact->attempt_step->step->command_index + 1);
        break;
    case PEN__FACT__WHAT_ATTEMPT_FINISHED:
        pen_buf_printf(out, "attempt %" PRIu64 " ", fact->attempt_finished->fence);
        put_finished(fact->attempt_finished->finished, out);
        break;
    case PEN__FACT__WHAT_ATTEMPT_STORED:
        put_stored(fact->attempt_stored, out);
        break;
    default: /* ATTEMPT_MOVED */
        pen_buf_printf(out, "attempt %" PRIu64, fact->attempt_moved->fence);
        put_with(out, " moved", fact->attempt_moved->reason);
        break;
    }
}

/* Of a branch, a tag or a pull request by the name of its ref, else of the action's own branch. */
static void put_seen(const Pen__RevisionSeen *seen, struct pen_buf *out)
{
    if (seen->deleted)
        pen_buf_printf(out, "%s is gone",
                       seen->ref_name != NULL ? seen->ref_name : "the source's branch");
    else
        pen_buf_printf(out, "revision %s seen", or_nothing(seen->revision_id));
    if (!seen->deleted && seen->ref_name != NULL)
        pen_buf_printf(out, " at %s", seen->ref_name);
}

static void put_trouble(const Pen__SourceTroubled *troubled, struct pen_buf *out)
{
    if (troubled->trouble != NULL)
        pen_buf_printf(out, "cannot be looked at: %s", troubled->trouble);
    else
        pen_buf_puts(out, "can be looked at again");
}

static void put_job(const Pen__Fact *fact, struct pen_buf *out)
{
    if (fact->what_case == PEN__FACT__WHAT_JOB_QUEUED) {
        const Pen__JobRow *job = fact->job_queued->job;
        pen_buf_puts(out, job != NULL && job->continues != NULL ? "another job follows"
                                                                : "a job waits for a job worker");
        return;
    }
    const Pen__JobMoved *moved = fact->job_moved;
    switch (moved->state) {
    case PEN__JOB_STATE__JOB_DISPATCHED:
        put_with(out, "job given to", moved->worker);
        break;
    case PEN__JOB_STATE__JOB_IN_PROGRESS:
        put_with(out, "job acknowledged by", moved->worker);
        break;
    case PEN__JOB_STATE__JOB_QUEUED:
        put_with(out, "job offered", moved->reason);
        break;
    case PEN__JOB_STATE__JOB_ABANDONED:
        put_with(out, "job given up", moved->reason);
        break;
    default:
        put_with(out, "job", pen_job_state_name(moved->state));
        break;
    }
}

void pen_fact_text(const Pen__Fact *fact, struct pen_buf *ret_text)
{
    unsigned number = (unsigned)fact->what_case;
    if (number >= PEN__FACT__WHAT_EXECUTION_STARTED && number <= PEN__FACT__WHAT_EXECUTION_ENDED)
        put_execution(fact, ret_text);
    else if ((number >= PEN__FACT__WHAT_STAGE_STARTED && number <= PEN__FACT__WHAT_WINDOW_FOUND) ||
             number == PEN__FACT__WHAT_TRANSITION_CHANGED)
        put_stage(fact, ret_text);
    else if (number >= PEN__FACT__WHAT_ACTION_STARTED && number <= PEN__FACT__WHAT_ACTION_REQUEUED)
        put_action(fact, ret_text);
    else if (number >= PEN__FACT__WHAT_ATTEMPT_GRANTED && number <= PEN__FACT__WHAT_ATTEMPT_MOVED)
        put_attempt(fact, ret_text);
    else if (number == PEN__FACT__WHAT_JOB_QUEUED || number == PEN__FACT__WHAT_JOB_MOVED)
        put_job(fact, ret_text);
    else if (number == PEN__FACT__WHAT_REVISION_SEEN)
        put_seen(fact->revision_seen, ret_text);
    else if (number == PEN__FACT__WHAT_SOURCE_TROUBLED)
        put_trouble(fact->source_troubled, ret_text);
    else if (number == PEN__FACT__WHAT_REFS_READ)
        pen_buf_printf(ret_text, "%zu branches and tags of %s are there", fact->refs_read->n_refs,
                       or_nothing(fact->refs_read->repository_id));
    else
        pen_buf_puts(ret_text, pen_fact_kind(fact));
}

static void action_subject(const Pen__Fact *fact, struct pen_fact_subject *ret)
{
    switch (fact->what_case) {
    case PEN__FACT__WHAT_ACTION_STARTED:
        if (fact->action_started->action != NULL) {
            ret->stage = fact->action_started->action->stage;
            ret->action = fact->action_started->action->action;
        }
        break;
    case PEN__FACT__WHAT_ACTION_PROGRESS:
        ret->action_execution_id = fact->action_progress->action_execution_id;
        break;
    case PEN__FACT__WHAT_ACTION_ENDED:
        ret->action_execution_id = fact->action_ended->action_execution_id;
        break;
    case PEN__FACT__WHAT_ACTION_REQUEUED:
        ret->action_execution_id = fact->action_requeued->action_execution_id;
        break;
    case PEN__FACT__WHAT_JOB_QUEUED:
        if (fact->job_queued->job != NULL)
            ret->action_execution_id = fact->job_queued->job->action_execution_id;
        break;
    case PEN__FACT__WHAT_JOB_MOVED:
        ret->action_execution_id = fact->job_moved->action_execution_id;
        break;
    case PEN__FACT__WHAT_ATTEMPT_GRANTED:
        ret->action_execution_id = fact->attempt_granted->action_execution_id;
        break;
    case PEN__FACT__WHAT_ATTEMPT_STARTED:
        ret->fence = fact->attempt_started->fence;
        break;
    case PEN__FACT__WHAT_ATTEMPT_STEP:
        ret->fence = fact->attempt_step->fence;
        break;
    case PEN__FACT__WHAT_ATTEMPT_FINISHED:
        ret->fence = fact->attempt_finished->fence;
        break;
    case PEN__FACT__WHAT_ATTEMPT_STORED:
        ret->fence = fact->attempt_stored->fence;
        break;
    case PEN__FACT__WHAT_ATTEMPT_MOVED:
        ret->fence = fact->attempt_moved->fence;
        break;
    default:
        break;
    }
}

void pen_fact_subject(const Pen__Fact *fact, struct pen_fact_subject *ret_subject)
{
    *ret_subject = (struct pen_fact_subject){0};
    switch (fact->what_case) {
    case PEN__FACT__WHAT_STAGE_STARTED:
        ret_subject->stage = fact->stage_started->stage;
        break;
    case PEN__FACT__WHAT_STAGE_GROUP_STARTED:
        ret_subject->stage = fact->stage_group_started->stage;
        break;
    case PEN__FACT__WHAT_STAGE_ENDED:
        ret_subject->stage = fact->stage_ended->stage;
        break;
    case PEN__FACT__WHAT_STAGE_RETRIED:
        ret_subject->stage = fact->stage_retried->stage;
        break;
    case PEN__FACT__WHAT_CONDITION_STARTED:
        ret_subject->stage = fact->condition_started->stage;
        break;
    case PEN__FACT__WHAT_RULE_ENDED:
        ret_subject->stage = fact->rule_ended->stage;
        break;
    case PEN__FACT__WHAT_WINDOW_FOUND:
        ret_subject->stage = fact->window_found->stage;
        break;
    case PEN__FACT__WHAT_CONDITION_ENDED:
        ret_subject->stage = fact->condition_ended->stage;
        break;
    case PEN__FACT__WHAT_TRANSITION_CHANGED:
        ret_subject->stage = fact->transition_changed->stage;
        break;
    case PEN__FACT__WHAT_SOURCE_TROUBLED:
        ret_subject->stage = fact->source_troubled->stage;
        ret_subject->action = fact->source_troubled->action;
        break;
    case PEN__FACT__WHAT_REFS_READ:
        ret_subject->stage = fact->refs_read->stage;
        ret_subject->action = fact->refs_read->action;
        break;
    case PEN__FACT__WHAT_REVISION_SEEN:
        ret_subject->stage = fact->revision_seen->stage;
        ret_subject->action = fact->revision_seen->action;
        break;
    default:
        action_subject(fact, ret_subject);
        break;
    }
}
