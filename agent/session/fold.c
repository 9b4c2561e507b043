/* The journal's records to state, and state to records. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

static int corrupt(struct pen_error *err, const char *what, uint64_t fence)
{
    return pen_fail(err, PEN_ECORRUPT,
                    "the journal has %s of attempt %" PRIu64 " where it cannot be", what, fence);
}

static int load_started(struct pen_session *self, Pen__AttemptJournaled *started,
                        struct pen_error *err)
{
    if (started->fence == 0 || started->capsule == NULL || started->boot_id == NULL ||
        attempt_get(self, started->fence) != NULL)
        return corrupt(err, "the start", started->fence);
    struct attempt *attempt = attempt_add(self, started->fence);
    if (attempt == NULL)
        return 0;
    attempt_set_state(self, attempt, PEN_ATTEMPT_STARTING);
    attempt->capsule = TAKE_PTR(started->capsule);
    attempt->boot_id = TAKE_PTR(started->boot_id);
    attempt->other_boot = !pen_str_equal(attempt->boot_id, self->boot_id);
    if (attempt->fence > self->max_fence)
        self->max_fence = attempt->fence;
    return 0;
}

static int load_began(struct pen_session *self, const Pen__AttemptBegan *began,
                      struct pen_error *err)
{
    struct attempt *attempt = attempt_get(self, began->fence);
    if (attempt == NULL || attempt->began || attempt->capsule == NULL)
        return corrupt(err, "the beginning", began->fence);
    attempt->began = true;
    attempt->began_record.shim_pid = began->shim_pid;
    attempt->began_record.shim_start_time = began->shim_start_time;
    attempt->began_record.began_ms = began->began_ms;
    if (attempt->state == PEN_ATTEMPT_STARTING)
        attempt_set_state(self, attempt, PEN_ATTEMPT_RUNNING);
    return 0;
}

static int load_killing(struct pen_session *self, Pen__AttemptKilling *killing,
                        struct pen_error *err)
{
    struct attempt *attempt = attempt_get(self, killing->fence);
    if (attempt == NULL || !pen_attempt_may(attempt->state, PEN_ATTEMPT_KILLING))
        return corrupt(err, "the kill", killing->fence);
    attempt_set_state(self, attempt, PEN_ATTEMPT_KILLING);
    attempt->kill_reason = TAKE_PTR(killing->reason);
    return 0;
}

static int load_event(struct pen_session *self, Pen__AttemptEvent *holder, struct pen_error *err)
{
    Pen__Event *event = holder->event;
    if (event == NULL || event->fence == 0 || event->seq == 0)
        return corrupt(err, "an event", 0);
    struct attempt *attempt = attempt_get(self, event->fence);
    bool result = event->what_case == PEN__EVENT__WHAT_FINISHED;
    if (attempt == NULL && result) /* a start that was refused has no start record */
        attempt = attempt_add(self, event->fence);
    if (attempt == NULL)
        return self->out_of_memory ? 0 : corrupt(err, "an event", event->fence);
    if (event->seq <= attempt->last_seq || attempt->state >= PEN_ATTEMPT_FINISHED)
        return corrupt(err, "an event", event->fence);
    Pen__Event *made = event_add(self, attempt, event->seq);
    if (made == NULL)
        return 0;
    bury(self, made);
    attempt->events[attempt->events_count - 1] = TAKE_PTR(holder->event);
    if (!result)
        return 0;
    attempt_set_state(self, attempt, PEN_ATTEMPT_FINISHED);
    attempt->log_size = event->finished->log_size;
    if (event->fence > self->max_fence)
        self->max_fence = event->fence;
    return 0;
}

static int load_acked(struct pen_session *self, const Pen__AttemptAcked *acked,
                      struct pen_error *err)
{
    struct attempt *attempt = attempt_get(self, acked->fence);
    if (attempt == NULL)
        return corrupt(err, "an acknowledgement", acked->fence);
    if (acked->seq > attempt->last_seq)
        attempt->last_seq = acked->seq; /* compaction drops acknowledged events */
    struct pen_session_out none = {0};
    attempt_ack(self, &none, attempt, acked->seq);
    pen_session_turn_done(self, &none);
    return 0;
}

static int load_tomb(struct pen_session *self, uint64_t fence, struct pen_error *err)
{
    if (fence == 0 || attempt_get(self, fence) != NULL)
        return corrupt(err, "the tomb", fence);
    struct attempt *attempt = attempt_add(self, fence);
    if (attempt == NULL)
        return 0;
    attempt_set_state(self, attempt, PEN_ATTEMPT_TOMB);
    if (fence > self->max_fence)
        self->max_fence = fence;
    return 0;
}

static int load_released(struct pen_session *self, const Pen__AttemptReleased *released)
{
    if (released->gc_below > self->gc_below)
        self->gc_below = released->gc_below;
    for (size_t i = 0; i < released->n_fences; i++) {
        uint64_t fence = released->fences[i];
        if (fence > self->max_fence)
            self->max_fence = fence;
        struct attempt *attempt = attempt_get(self, fence);
        if (attempt != NULL)
            attempt_remove(self, attempt);
    }
    return 0;
}

int pen_session_load(struct pen_session *self, Pen__JournalRecord *record, struct pen_error *err)
{
    int rc = 0;
    switch (record->what_case) {
    case PEN__JOURNAL_RECORD__WHAT_OPENED:
    case PEN__JOURNAL_RECORD__WHAT_LOG_ACKED:
        break;
    case PEN__JOURNAL_RECORD__WHAT_STARTED:
        rc = load_started(self, record->started, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_BEGAN:
        rc = load_began(self, record->began, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_KILLING:
        rc = load_killing(self, record->killing, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_EVENT:
        rc = load_event(self, record->event, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_ACKED:
        rc = load_acked(self, record->acked, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_TOMB:
        rc = load_tomb(self, record->tomb->fence, err);
        break;
    case PEN__JOURNAL_RECORD__WHAT_RELEASED:
        rc = load_released(self, record->released);
        break;
    default:
        rc = pen_fail(err, PEN_EUNSUPPORTED,
                      "the journal has a record of kind %d: it was written "
                      "by a newer agent",
                      (int)record->what_case);
    }
    if (self->out_of_memory)
        return pen_fail(err, PEN_ENOMEM, "no memory to read the journal");
    return rc;
}

static void recover_one(struct pen_session *self, struct attempt *attempt,
                        struct pen_session_out *out)
{
    struct pen_session_effect *effect;
    switch (attempt->state) {
    case PEN_ATTEMPT_KILLING:
        attempt->killing_ms = 0; /* counted anew: this process has just begun to wait */
        /* fall through */
    case PEN_ATTEMPT_STARTING:
    case PEN_ATTEMPT_RUNNING:
        if (attempt->other_boot)
            return; /* Welcome decides */
        effect = effect_add(self, out, PEN_OUT_ADOPT, attempt->fence);
        if (effect != NULL)
            effect->capsule = attempt->capsule;
        effect = attempt->state == PEN_ATTEMPT_KILLING
                     ? effect_add(self, out, PEN_OUT_KILL, attempt->fence)
                     : NULL;
        if (effect != NULL)
            effect->grace_ms = PEN_GRACE_DEFAULT_MS;
        return;
    case PEN_ATTEMPT_FINISHED:
    case PEN_ATTEMPT_ACKED:
        for (size_t i = 0; i < attempt->events_count; i++) {
            const Pen__Event *event = attempt->events[i];
            if (event->what_case != PEN__EVENT__WHAT_FINISHED)
                continue;
            for (size_t k = 0; k < event->finished->n_artifacts; k++) {
                effect = effect_add(self, out, PEN_OUT_UPLOAD, attempt->fence);
                if (effect != NULL)
                    effect->artifact = event->finished->artifacts[k];
            }
            effect = effect_add(self, out, PEN_OUT_LOG_DONE, attempt->fence);
            if (effect != NULL)
                effect->number = event->finished->log_size;
        }
        return;
    default:
        return;
    }
}

int pen_session_recover(struct pen_session *self, struct pen_session_out *out,
                        struct pen_error *err)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        recover_one(self, attempt, out);
        bool result = attempt->state == PEN_ATTEMPT_FINISHED;
        bool over = attempt->state == PEN_ATTEMPT_ACKED || attempt->state == PEN_ATTEMPT_TOMB;
        if (!self->once || attempt->fence <= self->once_fence || over)
            continue;
        self->once_fence = attempt->fence; /* the one job goes on after a restart */
        for (size_t i = 0; result && i < attempt->events_count; i++)
            if (attempt->events[i]->what_case == PEN__EVENT__WHAT_FINISHED)
                self->once_good = attempt->events[i]->finished->kind == PEN__FINISH_KIND__EXITED &&
                                  attempt->events[i]->finished->exit_code == 0;
    }
    return self->out_of_memory ? pen_fail(err, PEN_ENOMEM, "no memory to recover") : 0;
}

int pen_session_snapshot(struct pen_session *self, struct pen_session_out *out,
                         struct pen_error *err)
{
    record_released(self, out, self->max_fence, self->gc_below);
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        if (attempt->state == PEN_ATTEMPT_ACCEPTED)
            continue;
        if (attempt->state == PEN_ATTEMPT_TOMB) {
            record_tomb(self, out, attempt->fence);
            continue;
        }
        if (attempt->capsule != NULL)
            record_started(self, out, attempt);
        if (attempt->began)
            record_began(self, out, attempt);
        if (attempt->kill_reason != NULL)
            record_killing(self, out, attempt);
        for (size_t i = 0; i < attempt->events_count; i++)
            record_event(self, out, attempt->events[i]);
        if (attempt->acked_seq > 0)
            record_acked(self, out, attempt);
    }
    return self->out_of_memory ? pen_fail(err, PEN_ENOMEM, "no memory to compact the journal") : 0;
}
