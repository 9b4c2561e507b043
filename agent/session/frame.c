/* What the controller says, and what follows from it. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

static int lacks(struct pen_error *err, const char *field)
{
    return pen_fail(err, PEN_EINVAL, "%s is missing in the controller's message", field);
}

/* ---- offer */

static const char *reason_to_decline(const struct pen_session *self, uint64_t fence)
{
    if (self->drain_local || self->drain_remote)
        return "the agent is draining";
    if (self->unkillable)
        return "a process here cannot be killed";
    if (self->disk_full)
        return "the agent's disk is full";
    if (self->once && self->once_fence != 0)
        return "the agent takes one job only";
    if (fence <= self->max_fence)
        return "the fence is not above all that this agent has started";
    if (self->attempts.count >= PEN_SESSION_ATTEMPTS_MAX)
        return "the agent holds too many results that nobody has taken";
    return self->busy >= self->slots ? "no free slot" : NULL;
}

bool takes_work(const struct pen_session *self)
{
    return reason_to_decline(self, UINT64_MAX) == NULL;
}

static void answer_offer(struct pen_session *self, struct pen_session_out *out, uint64_t fence,
                         const char *decline)
{
    Pen__FromAgent *message = message_add(self, out, false);
    if (message == NULL)
        return;
    if (decline == NULL) {
        Pen__Accept *accept = NEW(self, Pen__Accept, pen__accept__init);
        if (accept == NULL)
            return;
        accept->has_fence = true;
        accept->fence = fence;
        message->body_case = PEN__FROM_AGENT__BODY_ACCEPT;
        message->accept = accept;
        return;
    }
    Pen__Decline *answer = NEW(self, Pen__Decline, pen__decline__init);
    if (answer == NULL)
        return;
    answer->has_fence = true;
    answer->fence = fence;
    answer->reason = new_text(self, decline);
    message->body_case = PEN__FROM_AGENT__BODY_DECLINE;
    message->decline = answer;
}

static int on_offer(struct pen_session *self, const Pen__Offer *offer, int64_t now_ms,
                    struct pen_session_out *out, struct pen_error *err)
{
    if (!offer->has_fence || offer->fence == 0)
        return lacks(err, "offer.fence");
    struct attempt *attempt = attempt_get(self, offer->fence);
    if (attempt != NULL && attempt->state == PEN_ATTEMPT_ACCEPTED) {
        answer_offer(self, out, offer->fence, NULL);
        return 0;
    }
    const char *decline =
        attempt != NULL ? "the fence is known here already" : reason_to_decline(self, offer->fence);
    if (decline == NULL) {
        attempt = attempt_add(self, offer->fence);
        if (attempt == NULL)
            return 0; /* the step reports it */
        int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_ACCEPTED, err);
        if (rc < 0)
            return rc;
        attempt->accepted_ms = now_ms;
        wake_at(self, now_ms + PEN_ACCEPT_TTL_MS);
    }
    answer_offer(self, out, offer->fence, decline);
    return 0;
}

/* ---- start */

static const char *reason_to_refuse(const struct pen_session *self, const struct attempt *attempt,
                                    const Pen__Start *start, int64_t now_ms)
{
    const Pen__Capsule *capsule = start->capsule;
    if (attempt == NULL && start->fence <= self->max_fence)
        return "fence regression: a higher fence was started here already";
    if (attempt != NULL && start->has_start_ttl_ms &&
        now_ms - attempt->accepted_ms > (int64_t)start->start_ttl_ms)
        return "the start came too late after its acceptance";
    if (capsule == NULL)
        return "the start carries no capsule";
    if (!capsule->has_fence || capsule->fence != start->fence)
        return "the capsule is for another fence";
    if (!pen_str_equal(capsule->provider, "Commands"))
        return "this agent can run only the provider Commands";
    if (capsule->n_commands == 0)
        return "the capsule has no commands";
    if (capsule->n_secrets > 0)
        return "this agent cannot open sealed secrets";
    return NULL;
}

static int on_start(struct pen_session *self, Pen__Start *start, int64_t now_ms,
                    struct pen_session_out *out, struct pen_error *err)
{
    if (!start->has_fence || start->fence == 0)
        return lacks(err, "start.fence");
    struct attempt *attempt = attempt_get(self, start->fence);
    if (attempt != NULL && attempt->state == PEN_ATTEMPT_TOMB) {
        send_revoked(self, out, start->fence, attempt);
        return 0;
    }
    if (attempt != NULL && attempt->state != PEN_ATTEMPT_ACCEPTED) {
        send_unacked(self, out, attempt, 1, now_ms); /* it was started: say again what is known */
        return 0;
    }
    const char *refuse = reason_to_refuse(self, attempt, start, now_ms);
    if (attempt == NULL)
        attempt = attempt_add(self, start->fence);
    if (attempt == NULL)
        return 0;
    if (start->fence > self->max_fence)
        self->max_fence = start->fence;
    if (refuse != NULL)
        return attempt_finish(self, out, attempt,
                              finished_make(self, PEN__FINISH_KIND__REFUSED_START, refuse), now_ms,
                              err);
    int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_STARTING, err);
    if (rc < 0)
        return rc;
    attempt->capsule = TAKE_PTR(start->capsule);
    attempt->boot_id = new_text(self, self->boot_id);
    if (self->once)
        self->once_fence = attempt->fence;
    record_started(self, out, attempt);
    out->sync = true;
    if (attempt->capsule->action_class == PEN__ACTION_CLASS__ONCE) {
        attempt_ask(self, out, attempt,
                    start->has_start_ttl_ms ? start->start_ttl_ms : PEN_ASK_DEFAULT_MS, now_ms);
        return 0;
    }
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_START, attempt->fence);
    if (effect != NULL) {
        effect->after_sync = true;
        effect->capsule = attempt->capsule;
    }
    return 0;
}

/* ---- revoke and cancel */

static int bury_fence(struct pen_session *self, struct attempt *attempt, uint64_t fence,
                      struct pen_session_out *out, struct pen_error *err)
{
    if (attempt == NULL)
        attempt = attempt_add(self, fence);
    if (attempt == NULL)
        return 0;
    if (attempt->state != PEN_ATTEMPT_TOMB) {
        int rc = session_attempt_move(self, attempt, PEN_ATTEMPT_TOMB, err);
        if (rc < 0)
            return rc;
        if (fence > self->max_fence)
            self->max_fence = fence;
        record_tomb(self, out, fence);
    }
    out->sync = true;
    send_revoked(self, out, fence, attempt);
    return 0;
}

static int on_revoke(struct pen_session *self, const Pen__Revoke *revoke, int64_t now_ms,
                     struct pen_session_out *out, struct pen_error *err)
{
    if (!revoke->has_fence || revoke->fence == 0)
        return lacks(err, "revoke.fence");
    struct attempt *attempt = attempt_get(self, revoke->fence);
    if (attempt == NULL || attempt->state == PEN_ATTEMPT_ACCEPTED ||
        attempt->state == PEN_ATTEMPT_TOMB)
        return bury_fence(self, attempt, revoke->fence, out, err);
    if (attempt->asking)
        return attempt_give_up(self, out, attempt, "revoked before it began", now_ms, err);
    send_revoked(self, out, revoke->fence, attempt);
    send_unacked(self, out, attempt, attempt->acked_seq + 1, now_ms);
    return 0;
}

static int on_cancel(struct pen_session *self, const Pen__Cancel *cancel, int64_t now_ms,
                     struct pen_session_out *out, struct pen_error *err)
{
    if (!cancel->has_fence || cancel->fence == 0)
        return lacks(err, "cancel.fence");
    struct attempt *attempt = attempt_get(self, cancel->fence);
    if (attempt == NULL || attempt->state == PEN_ATTEMPT_ACCEPTED ||
        attempt->state == PEN_ATTEMPT_TOMB)
        return bury_fence(self, attempt, cancel->fence, out, err);
    return attempt_kill(self, out, attempt, cancel->reason == NULL ? "canceled" : cancel->reason,
                        cancel->has_grace_ms ? cancel->grace_ms : PEN_GRACE_DEFAULT_MS, now_ms,
                        err);
}

/* ---- session */

static void know(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                 uint64_t known_seq, int64_t now_ms)
{
    attempt_ack(self, out, attempt, known_seq);
    if (attempt->asking) { /* the answer was for a session that is over: it is void */
        (void)attempt_give_up(self, out, attempt,
                              "the session ended before the controller had confirmed the start",
                              now_ms, NULL);
        return;
    }
    if (attempt->other_boot && attempt->state < PEN_ATTEMPT_FINISHED) {
        /* Events after known_seq are lost with the end of the journal, or were never made. */
        if (known_seq > attempt->last_seq)
            attempt->last_seq = known_seq;
        Pen__Finished *finished =
            finished_make(self, PEN__FINISH_KIND__INTERRUPTED,
                          "the host was restarted while the attempt was on it");
        (void)attempt_finish(self, out, attempt, finished, now_ms, NULL); /* sends it */
        return;
    }
    send_unacked(self, out, attempt, attempt->acked_seq + 1, now_ms);
}

static uint64_t known_seq_of(const Pen__Welcome *welcome, uint64_t fence)
{
    for (size_t i = 0; i < welcome->n_known; i++)
        if (welcome->known[i]->fence == fence)
            return welcome->known[i]->last_seq;
    return 0;
}

static int on_welcome(struct pen_session *self, Pen__ToAgent *frame, int64_t now_ms,
                      struct pen_session_out *out, struct pen_error *err)
{
    Pen__Welcome *welcome = frame->welcome;
    if (!welcome->has_session_no || welcome->session_no == 0)
        return lacks(err, "welcome.session_no");
    if (welcome->session_no < self->session_no)
        return 0; /* an answer to an earlier Hello */
    bury(self, self->welcome);
    self->welcome = TAKE_PTR(frame->welcome);
    frame->body_case = PEN__TO_AGENT__BODY__NOT_SET;
    self->session_no = welcome->session_no;
    self->welcomed = true;
    self->hello_open = false;
    self->drain_remote = false; /* else the controller says so again */
    if (welcome->has_heartbeat_ms && welcome->heartbeat_ms >= 100)
        self->heartbeat_ms = welcome->heartbeat_ms;
    if (self->slots_said == 0 && welcome->slots > 0 && welcome->slots <= PEN_SLOTS_MAX)
        self->slots = welcome->slots;
    self->next_heartbeat_ms = now_ms + self->heartbeat_ms;
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_OPEN_DATA, 0);
    if (effect != NULL)
        effect->welcome = welcome;
    settle_below(self, out, welcome->gc_below, now_ms);
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        if (attempt->state != PEN_ATTEMPT_ACCEPTED && attempt->state != PEN_ATTEMPT_TOMB)
            know(self, out, attempt, known_seq_of(welcome, attempt->fence), now_ms);
    }
    return 0;
}

void settle_below(struct pen_session *self, struct pen_session_out *out, uint64_t gc_below,
                  int64_t now_ms)
{
    if (gc_below <= self->gc_below)
        return;
    self->gc_below = gc_below;
    record_released(self, out, 0, gc_below);
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL; node = next) {
        next = pen_map_next(node);
        struct attempt *attempt = pen_map_value(node);
        if (attempt->fence >= gc_below)
            break;
        session_attempt_settle(self, out, attempt, now_ms);
    }
}

static int on_release(struct pen_session *self, const Pen__Release *release, int64_t now_ms,
                      struct pen_session_out *out)
{
    for (size_t i = 0; i < release->n_fences; i++) {
        struct attempt *attempt = attempt_get(self, release->fences[i]);
        if (attempt != NULL)
            session_attempt_settle(self, out, attempt, now_ms);
    }
    settle_below(self, out, release->gc_below, now_ms);
    return 0;
}

static void open_again(struct pen_session *self, struct pen_session_out *out, int64_t now_ms)
{
    self->welcomed = false; /* the timer says Hello, not at once: no echo between the two */
    if (now_ms >= self->hello_ms + 1000)
        send_hello(self, out, now_ms);
}

static int on_refused(struct pen_session *self, const Pen__ToAgent *frame, int64_t now_ms,
                      struct pen_session_out *out)
{
    const Pen__Refused *refused = frame->refused;
    struct pen_session_effect *effect;
    struct attempt *attempt;
    switch (refused->code) {
    case PEN__REFUSED_CODE__NO_SESSION:
        open_again(self, out, now_ms);
        return 0;
    case PEN__REFUSED_CODE__FENCED:
        attempt = refused->has_fence ? attempt_get(self, refused->fence) : NULL;
        if (attempt != NULL)
            session_attempt_settle(self, out, attempt, now_ms);
        return 0;
    case PEN__REFUSED_CODE__SUPERSEDED:
        /* A Hello that was repeated for want of an answer opens two sessions: the newer one is
         * ours, too. */
        if (frame->session_no != 0 && frame->session_no != self->session_no)
            return 0;
        if (self->hello_repeated) { /* the newer one's Welcome was lost */
            self->hello_open = self->hello_repeated = false;
            self->session_no = 0; /* its other words are refused alike */
            open_again(self, out, now_ms);
            return 0;
        }
        /* fall through */
    case PEN__REFUSED_CODE__QUARANTINED:
    case PEN__REFUSED_CODE__DENIED:
        self->welcomed = false;
        self->hello_ms = now_ms;
        effect = effect_add(self, out, PEN_OUT_SUPERSEDED, 0);
        if (effect != NULL) {
            effect->refused_code = (int)refused->code;
            (void)pen_str_copy(effect->text, sizeof effect->text,
                               refused->message == NULL ? "" : refused->message);
        }
        return 0;
    default:
        return 0; /* FULL, LIMIT, UNSUPPORTED, DIGEST: the heartbeat sends again what is needed */
    }
}

static void on_heartbeat_ack(struct pen_session *self, const Pen__HeartbeatAck *ack, int64_t now_ms,
                             struct pen_session_out *out)
{
    if (ack->want_inventory && ack->number != self->inventory_number)
        send_heartbeat(self, out, true, now_ms);
    settle_below(self, out, ack->gc_below, now_ms);
}

static int in_session(struct pen_session *self, Pen__ToAgent *frame, int64_t now_ms,
                      struct pen_session_out *out, struct pen_error *err)
{
    struct attempt *attempt;
    switch (frame->body_case) {
    case PEN__TO_AGENT__BODY_HEARTBEAT_ACK:
        on_heartbeat_ack(self, frame->heartbeat_ack, now_ms, out);
        return 0;
    case PEN__TO_AGENT__BODY_OFFER:
        return on_offer(self, frame->offer, now_ms, out, err);
    case PEN__TO_AGENT__BODY_START:
        return on_start(self, frame->start, now_ms, out, err);
    case PEN__TO_AGENT__BODY_EVENT_ACK:
        attempt = attempt_get(self, frame->event_ack->fence);
        if (attempt == NULL)
            return 0;
        attempt_ack(self, out, attempt, frame->event_ack->seq);
        if (attempt->acked_seq > 0)
            attempt_permit(self, out, attempt);
        return 0;
    case PEN__TO_AGENT__BODY_RESEND:
        attempt = attempt_get(self, frame->resend->fence);
        if (attempt != NULL)
            send_unacked(self, out, attempt, frame->resend->from_seq, now_ms);
        return 0;
    case PEN__TO_AGENT__BODY_CANCEL:
        return on_cancel(self, frame->cancel, now_ms, out, err);
    case PEN__TO_AGENT__BODY_REVOKE:
        return on_revoke(self, frame->revoke, now_ms, out, err);
    case PEN__TO_AGENT__BODY_RELEASE:
        return on_release(self, frame->release, now_ms, out);
    case PEN__TO_AGENT__BODY_DRAIN:
        self->drain_remote = frame->drain->on;
        return 0;
    default:
        return pen_fail(err, PEN_EUNSUPPORTED,
                        "the controller sent a message of kind %d that "
                        "this agent does not know",
                        (int)frame->body_case);
    }
}

int step_frame(struct pen_session *self, const struct pen_session_input *input,
               struct pen_session_out *out, struct pen_error *err)
{
    Pen__ToAgent *frame = input->frame;
    self->heard_ms = input->now_ms;
    if (frame->body_case == PEN__TO_AGENT__BODY_WELCOME)
        return on_welcome(self, frame, input->now_ms, out, err);
    if (frame->body_case == PEN__TO_AGENT__BODY_REFUSED)
        return on_refused(self, frame, input->now_ms, out);
    if (!self->welcomed)
        return pen_fail(err, PEN_ESTALE, "a message outside of a session");
    if (frame->has_session_no && frame->session_no != 0 && frame->session_no != self->session_no)
        return pen_fail(err, PEN_ESTALE, "a message of session %" PRIu64 ", this is %" PRIu64,
                        frame->session_no, self->session_no);
    return in_session(self, frame, input->now_ms, out, err);
}
