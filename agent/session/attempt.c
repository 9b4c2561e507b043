/* What the host reports about an attempt, and its result. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

Pen__Event *event_add(struct pen_session *self, struct attempt *attempt, uint64_t seq)
{
    if (attempt->events_count == attempt->events_capacity) {
        size_t capacity = attempt->events_capacity == 0 ? 4 : 2 * attempt->events_capacity;
        Pen__Event **grown = realloc(attempt->events, capacity * sizeof *grown);
        if (grown == NULL) {
            self->out_of_memory = true;
            return NULL;
        }
        attempt->events = grown;
        attempt->events_capacity = capacity;
    }
    Pen__Event *event = NEW(self, Pen__Event, pen__event__init);
    if (event == NULL)
        return NULL;
    event->has_fence = event->has_seq = true;
    event->fence = attempt->fence;
    event->seq = seq;
    attempt->last_seq = seq;
    attempt->events[attempt->events_count++] = event;
    return event;
}

Pen__Finished *finished_make(struct pen_session *self, Pen__FinishKind kind, const char *reason)
{
    Pen__Finished *finished = NEW(self, Pen__Finished, pen__finished__init);
    if (finished == NULL)
        return NULL;
    finished->has_kind = true;
    finished->kind = kind;
    if (reason != NULL)
        finished->reason = new_text(self, reason);
    return finished;
}

static void upload_artifacts(struct pen_session *self, struct pen_session_out *out,
                             const struct attempt *attempt, const Pen__Finished *finished)
{
    for (size_t i = 0; i < finished->n_artifacts; i++) {
        struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_UPLOAD, attempt->fence);
        if (effect != NULL)
            effect->artifact = finished->artifacts[i];
    }
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_LOG_DONE, attempt->fence);
    if (effect != NULL)
        effect->number = finished->log_size;
}

int attempt_finish(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                   Pen__Finished *finished, int64_t now_ms, struct pen_error *err)
{
    if (finished == NULL)
        return 0; /* no memory: the step reports it */
    int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_FINISHED, err);
    if (rc < 0) {
        bury(self, finished);
        return rc;
    }
    Pen__Event *event = event_add(self, attempt, attempt->last_seq + 1);
    if (event == NULL) {
        bury(self, finished);
        return 0;
    }
    event->what_case = PEN__EVENT__WHAT_FINISHED;
    event->finished = finished;
    if (!finished->has_log_size) {
        finished->has_log_size = true;
        finished->log_size = attempt->log_size;
    }
    if (attempt->fence == self->once_fence)
        self->once_good = finished->kind == PEN__FINISH_KIND__EXITED && finished->exit_code == 0 &&
                          !finished->has_signal;
    record_event(self, out, event);
    out->sync = true;
    send_event(self, out, event);
    attempt->sent_ms = now_ms;
    upload_artifacts(self, out, attempt, finished);
    if (attempt->forget)
        session_attempt_settle(self, out, attempt, now_ms);
    return 0;
}

void attempt_ack(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 uint64_t seq)
{
    if (seq > attempt->last_seq)
        seq = attempt->last_seq;
    if (seq <= attempt->acked_seq)
        return;
    attempt->acked_seq = seq;
    size_t kept = 0;
    bool result_acked = false;
    for (size_t i = 0; i < attempt->events_count; i++) {
        Pen__Event *event = attempt->events[i];
        bool result = event->what_case == PEN__EVENT__WHAT_FINISHED;
        if (event->seq <= seq && result)
            result_acked = true;
        if (event->seq > seq || result)
            attempt->events[kept++] = event;
        else
            bury(self, event);
    }
    attempt->events_count = kept;
    record_acked(self, out, attempt);
    if (result_acked && attempt->state == PEN_ATTEMPT_FINISHED)
        attempt_set_state(self, attempt, PEN_ATTEMPT_ACKED);
}

/* ---- class once: permitted first, then begun */

void attempt_ask(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 uint32_t ttl_ms, int64_t now_ms)
{
    Pen__Event *event = event_add(self, attempt, attempt->last_seq + 1);
    Pen__Started *started = event == NULL ? NULL : NEW(self, Pen__Started, pen__started__init);
    if (started == NULL)
        return;
    event->what_case = PEN__EVENT__WHAT_STARTED;
    event->started = started;
    record_event(self, out, event);
    size_t before = out->effects_count;
    send_event(self, out, event);
    if (out->effects_count > before) /* not before the start is durable, or a host that loses */
        out->effects[before].after_sync = true; /* power would look like a copy of itself */
    attempt->sent_ms = now_ms;
    attempt->asking = true;
    attempt->ask_until_ms = now_ms + (int64_t)ttl_ms;
    wake_at(self, attempt->ask_until_ms);
}

void attempt_permit(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt)
{
    if (!attempt->asking)
        return;
    attempt->asking = false;
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_START, attempt->fence);
    if (effect == NULL)
        return;
    effect->after_sync = true;
    effect->capsule = attempt->capsule;
}

int attempt_give_up(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                    const char *reason, int64_t now_ms, struct pen_error *err)
{
    attempt->asking = false;
    return attempt_finish(self, out, attempt,
                          finished_make(self, PEN__FINISH_KIND__NEVER_BEGAN, reason), now_ms, err);
}

int attempt_kill(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 const char *reason, uint32_t grace_ms, int64_t now_ms, struct pen_error *err)
{
    if (attempt->state != PEN_ATTEMPT_STARTING && attempt->state != PEN_ATTEMPT_RUNNING &&
        attempt->state != PEN_ATTEMPT_KILLING)
        return 0; /* it has ended: its result says how */
    if (attempt->other_boot)
        return 0;
    if (attempt->asking)
        return attempt_give_up(self, out, attempt, reason, now_ms, err);
    if (attempt->state != PEN_ATTEMPT_KILLING) {
        int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_KILLING, err);
        if (rc < 0)
            return rc;
        free(attempt->kill_reason);
        attempt->kill_reason = new_text(self, reason);
        attempt->killing_ms = now_ms;
        wake_at(self, now_ms + PEN_UNKILLABLE_MS);
        if (attempt->kill_reason != NULL)
            record_killing(self, out, attempt);
    }
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_KILL, attempt->fence);
    if (effect != NULL)
        effect->grace_ms = grace_ms;
    return 0;
}

void session_attempt_settle(struct pen_session *self, struct pen_session_out *out,
                            struct attempt *attempt, int64_t now_ms)
{
    switch (attempt->state) {
    case PEN_ATTEMPT_STARTING:
    case PEN_ATTEMPT_RUNNING:
    case PEN_ATTEMPT_KILLING:
        if (!attempt->other_boot) {
            attempt->forget = true;
            (void)attempt_kill(self, out, attempt, "the controller has given this attempt up", 0,
                               now_ms, NULL);
            return;
        }
        break;
    case PEN_ATTEMPT_EXITED:
    case PEN_ATTEMPT_UPLOADING:
        attempt->forget = true;
        return;
    default:
        break;
    }
    uint64_t fence = attempt->fence;
    if (attempt->state != PEN_ATTEMPT_ACCEPTED)
        record_released(self, out, fence, self->gc_below);
    if (attempt->state != PEN_ATTEMPT_ACCEPTED && attempt->state != PEN_ATTEMPT_TOMB)
        (void)effect_add(self, out, PEN_OUT_RELEASE, fence);
    attempt_remove(self, attempt);
}

/* ---- reports */

static int on_began(struct pen_session *self, struct attempt *attempt,
                    const struct pen_session_input *input, struct pen_session_out *out,
                    struct pen_error *err)
{
    if (attempt->began)
        return 0; /* an adopted shim is reported again */
    if (attempt->state == PEN_ATTEMPT_STARTING) {
        int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_RUNNING, err);
        if (rc < 0)
            return rc;
    } else if (attempt->state != PEN_ATTEMPT_KILLING) {
        return pen_fail(err, PEN_ECONFLICT, "attempt %" PRIu64 " cannot begin while it is %s",
                        attempt->fence, pen_attempt_state_name(attempt->state));
    }
    attempt->began = true;
    attempt->began_record.shim_pid = input->began.shim_pid;
    attempt->began_record.shim_start_time = input->began.shim_start_time;
    attempt->began_record.began_ms = input->began.began_ms;
    record_began(self, out, attempt);
    Pen__Event *event = event_add(self, attempt, attempt->last_seq + 1);
    Pen__Started *started = event == NULL ? NULL : NEW(self, Pen__Started, pen__started__init);
    if (started == NULL)
        return 0;
    event->what_case = PEN__EVENT__WHAT_STARTED;
    event->started = started;
    started->has_began_ms = true;
    started->began_ms = input->began.began_ms;
    if (input->began.isolation != NULL)
        started->isolation = new_text(self, input->began.isolation);
    record_event(self, out, event);
    send_event(self, out, event);
    attempt->sent_ms = input->now_ms;
    return 0;
}

static void on_step(struct pen_session *self, struct attempt *attempt,
                    const struct pen_session_input *input, struct pen_session_out *out)
{
    if (attempt->state != PEN_ATTEMPT_RUNNING || attempt->capsule == NULL)
        return; /* late: progress of what has ended is of no use */
    if (attempt->last_seq - attempt->acked_seq >= PEN_EVENTS_PER_ATTEMPT_MAX ||
        input->number >= attempt->capsule->n_commands)
        return;
    Pen__Event *event = event_add(self, attempt, attempt->last_seq + 1);
    Pen__Step *step = event == NULL ? NULL : NEW(self, Pen__Step, pen__step__init);
    if (step == NULL)
        return;
    event->what_case = PEN__EVENT__WHAT_STEP;
    event->step = step;
    step->has_command_index = step->has_percent_complete = true;
    step->command_index = (uint32_t)input->number;
    step->percent_complete = (uint32_t)(input->number * 100 / attempt->capsule->n_commands);
    record_event(self, out, event);
    send_event(self, out, event);
    attempt->sent_ms = input->now_ms;
}

static int on_exited(struct pen_session *self, struct attempt *attempt,
                     const struct pen_session_input *input, struct pen_session_out *out,
                     struct pen_error *err)
{
    int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_EXITED, err);
    if (rc < 0)
        return rc;
    attempt->log_size = input->exit->log_size;
    Pen__Finished *finished = finished_from_exit(self, attempt, input->exit);
    if (finished == NULL)
        return 0;
    bool success = finished->kind == PEN__FINISH_KIND__EXITED && finished->exit_code == 0 &&
                   !finished->has_signal;
    if (!success || attempt->capsule->n_outputs == 0)
        return attempt_finish(self, out, attempt, finished, input->now_ms, err);
    attempt_set_state(self, attempt, PEN_ATTEMPT_UPLOADING);
    attempt->finishing = finished;
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_PACK, attempt->fence);
    if (effect != NULL)
        effect->capsule = attempt->capsule;
    return 0;
}

/* Whether its commands may still run: only then can they be found gone, or fail to begin. */
static int check_live(const struct attempt *attempt, struct pen_error *err)
{
    if (attempt->state == PEN_ATTEMPT_STARTING || attempt->state == PEN_ATTEMPT_RUNNING ||
        attempt->state == PEN_ATTEMPT_KILLING)
        return 0;
    return pen_fail(err, PEN_ECONFLICT, "attempt %" PRIu64 " cannot vanish while it is %s",
                    attempt->fence, pen_attempt_state_name(attempt->state));
}

static int on_vanished(struct pen_session *self, struct attempt *attempt,
                       const struct pen_session_input *input, struct pen_session_out *out,
                       struct pen_error *err)
{
    int rc = check_live(attempt, err);
    if (rc < 0)
        return rc;
    bool began = attempt->began || input->flag;
    const char *reason = began ? "the process that kept the attempt was killed, and everything "
                                 "below it with it"
                               : "the attempt never began";
    Pen__Finished *finished = finished_make(
        self, began ? PEN__FINISH_KIND__INTERRUPTED : PEN__FINISH_KIND__NEVER_BEGAN, reason);
    return attempt_finish(self, out, attempt, finished, input->now_ms, err);
}

static int on_setup_failed(struct pen_session *self, struct attempt *attempt,
                           const struct pen_session_input *input, struct pen_session_out *out,
                           struct pen_error *err)
{
    int rc = check_live(attempt, err);
    if (rc < 0)
        return rc;
    bool killed = attempt->state == PEN_ATTEMPT_KILLING;
    Pen__Finished *finished =
        finished_make(self, killed ? PEN__FINISH_KIND__KILLED : PEN__FINISH_KIND__FAILED_SETUP,
                      killed ? attempt->kill_reason : input->text);
    return attempt_finish(self, out, attempt, finished, input->now_ms, err);
}

/* Errors: none but memory, which the step reports. */
static void artifacts_copy(struct pen_session *self, Pen__Finished *finished,
                           const struct pen_session_input *input)
{
    finished->artifacts = calloc(input->artifacts_count, sizeof *finished->artifacts);
    if (finished->artifacts == NULL) {
        self->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < input->artifacts_count; i++) {
        const Pen__ArtifactRef *source = input->artifacts[i];
        Pen__ArtifactRef *copy = NEW(self, Pen__ArtifactRef, pen__artifact_ref__init);
        if (copy == NULL)
            return;
        finished->artifacts[finished->n_artifacts++] = copy;
        copy->name = new_text(self, source->name);
        copy->has_size = source->has_size;
        copy->size = source->size;
        copy->manifest_sha256.data = malloc(source->manifest_sha256.len + 1);
        if (copy->manifest_sha256.data == NULL) {
            self->out_of_memory = true;
            return;
        }
        memcpy(copy->manifest_sha256.data, source->manifest_sha256.data,
               source->manifest_sha256.len);
        copy->manifest_sha256.len = source->manifest_sha256.len;
        copy->has_manifest_sha256 = true;
    }
}

static int on_packed(struct pen_session *self, struct attempt *attempt,
                     const struct pen_session_input *input, struct pen_session_out *out,
                     struct pen_error *err)
{
    if (attempt->state != PEN_ATTEMPT_UPLOADING)
        return pen_fail(err, PEN_ECONFLICT, "attempt %" PRIu64 " has outputs while it is %s",
                        attempt->fence, pen_attempt_state_name(attempt->state));
    Pen__Finished *finished = TAKE_PTR(attempt->finishing);
    CHECK(finished != NULL);
    if (input->kind == PEN_IN_PACKED && input->artifacts_count > 0) {
        artifacts_copy(self, finished, input);
        if (input->text != NULL && finished->reason == NULL)
            finished->reason =
                new_text(self, input->text); /* it succeeds, and that is to be known */
    } else if (input->kind == PEN_IN_PACK_FAILED) {
        finished->kind = PEN__FINISH_KIND__FAILED_OUTPUT;
        free(finished->reason);
        finished->reason = new_text(self, input->text);
    }
    return attempt_finish(self, out, attempt, finished, input->now_ms, err);
}

int step_report(struct pen_session *self, const struct pen_session_input *input,
                struct pen_session_out *out, struct pen_error *err)
{
    struct attempt *attempt = attempt_get(self, input->fence);
    if (attempt == NULL || attempt->state == PEN_ATTEMPT_TOMB)
        return pen_fail(err, PEN_ENOTFOUND, "no attempt %" PRIu64 " to report on", input->fence);
    switch (input->kind) {
    case PEN_IN_BEGAN:
        return on_began(self, attempt, input, out, err);
    case PEN_IN_STEP:
        on_step(self, attempt, input, out);
        return 0;
    case PEN_IN_EXITED:
        return on_exited(self, attempt, input, out, err);
    case PEN_IN_VANISHED:
        return on_vanished(self, attempt, input, out, err);
    case PEN_IN_SETUP_FAILED:
        return on_setup_failed(self, attempt, input, out, err);
    case PEN_IN_PACKED:
    case PEN_IN_PACK_FAILED:
        return on_packed(self, attempt, input, out, err);
    case PEN_IN_SETTLED:
        session_attempt_settle(self, out, attempt, input->now_ms);
        return 0;
    case PEN_IN_LOG_SIZE:
        if (input->number > attempt->log_size)
            attempt->log_size = input->number;
        return 0;
    default:
        return pen_fail(err, PEN_EINVAL, "input %d is no report of an attempt", (int)input->kind);
    }
}
