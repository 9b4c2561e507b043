#include "agent/session/session.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"

/* ---- the table of moves */

#define TO(state) (1u << PEN_ATTEMPT_##state)

static const uint16_t moves[PEN_ATTEMPT_STATES] = {
    [PEN_ATTEMPT_NONE] = TO(ACCEPTED) | TO(STARTING) | TO(FINISHED) | TO(TOMB),
    [PEN_ATTEMPT_ACCEPTED] = TO(STARTING) | TO(FINISHED) | TO(TOMB),
    [PEN_ATTEMPT_STARTING] = TO(RUNNING) | TO(KILLING) | TO(EXITED) | TO(FINISHED),
    [PEN_ATTEMPT_RUNNING] = TO(KILLING) | TO(EXITED) | TO(FINISHED),
    [PEN_ATTEMPT_KILLING] = TO(EXITED) | TO(FINISHED),
    [PEN_ATTEMPT_EXITED] = TO(UPLOADING) | TO(FINISHED),
    [PEN_ATTEMPT_UPLOADING] = TO(FINISHED),
    [PEN_ATTEMPT_FINISHED] = TO(ACKED),
    [PEN_ATTEMPT_ACKED] = 0,
    [PEN_ATTEMPT_TOMB] = 0,
};

/* States that hold a slot: from the promise to take it until nothing of it runs here. */
static const uint16_t holds_slot =
    TO(ACCEPTED) | TO(STARTING) | TO(RUNNING) | TO(KILLING) | TO(EXITED) | TO(UPLOADING);

const char *pen_attempt_state_name(enum pen_attempt_state state)
{
    static const char *const names[PEN_ATTEMPT_STATES] = {
        [PEN_ATTEMPT_NONE] = "none",           [PEN_ATTEMPT_ACCEPTED] = "accepted",
        [PEN_ATTEMPT_STARTING] = "starting",   [PEN_ATTEMPT_RUNNING] = "running",
        [PEN_ATTEMPT_KILLING] = "killing",     [PEN_ATTEMPT_EXITED] = "exited",
        [PEN_ATTEMPT_UPLOADING] = "uploading", [PEN_ATTEMPT_FINISHED] = "finished",
        [PEN_ATTEMPT_ACKED] = "acked",         [PEN_ATTEMPT_TOMB] = "tomb",
    };
    CHECK(state < PEN_ATTEMPT_STATES);
    return names[state];
}

bool pen_attempt_may(enum pen_attempt_state from, enum pen_attempt_state to)
{
    CHECK(from < PEN_ATTEMPT_STATES);
    CHECK(to < PEN_ATTEMPT_STATES);
    return (moves[from] & (1u << to)) != 0;
}

/* ---- memory */

void *new_message(struct pen_session *self, size_t size, void (*init)(void *))
{
    void *message = malloc(size);
    if (message == NULL)
        self->out_of_memory = true;
    else
        init(message);
    return message;
}

char *new_text(struct pen_session *self, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        self->out_of_memory = true;
    return copy;
}

static void message_free(void *message)
{
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, NULL);
}

void bury(struct pen_session *self, void *message)
{
    if (message == NULL)
        return;
    if (self->buried_count == self->buried_capacity) {
        size_t capacity = self->buried_capacity == 0 ? 16 : 2 * self->buried_capacity;
        void **grown = realloc(self->buried, capacity * sizeof *grown);
        if (grown == NULL) {
            self->out_of_memory = true; /* the message leaks; the process ends */
            return;
        }
        self->buried = grown;
        self->buried_capacity = capacity;
    }
    self->buried[self->buried_count++] = message;
}

/* ---- attempts */

struct attempt *attempt_get(const struct pen_session *self, uint64_t fence)
{
    return pen_map_get(&self->attempts, pen_key_number(fence));
}

struct attempt *attempt_add(struct pen_session *self, uint64_t fence)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL || pen_map_put(&self->attempts, pen_key_number(fence), attempt, NULL) < 0) {
        free(attempt);
        self->out_of_memory = true;
        return NULL;
    }
    attempt->fence = fence;
    return attempt;
}

void attempt_set_state(struct pen_session *self, struct attempt *attempt, enum pen_attempt_state to)
{
    self->busy -= (holds_slot >> attempt->state) & 1u;
    self->busy += (holds_slot >> to) & 1u;
    attempt->state = to;
}

int session_attempt_move(struct pen_session *self, struct attempt *attempt,
                         enum pen_attempt_state to, struct pen_error *err)
{
    if (!pen_attempt_may(attempt->state, to))
        return pen_fail(err, PEN_ECONFLICT, "attempt %" PRIu64 " may not go from %s to %s",
                        attempt->fence, pen_attempt_state_name(attempt->state),
                        pen_attempt_state_name(to));
    attempt_set_state(self, attempt, to);
    return 0;
}

static void attempt_free(struct pen_session *self, struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->events_count; i++)
        bury(self, attempt->events[i]);
    bury(self, attempt->capsule);
    bury(self, attempt->finishing);
    free(attempt->events);
    free(attempt->kill_reason);
    free(attempt->boot_id);
    free(attempt->began_record.boot_id);
    free(attempt);
}

void attempt_remove(struct pen_session *self, struct attempt *attempt)
{
    attempt_set_state(self, attempt, PEN_ATTEMPT_NONE);
    CHECK(pen_map_remove(&self->attempts, pen_key_number(attempt->fence)) == attempt);
    attempt_free(self, attempt);
}

void wake_at(struct pen_session *self, int64_t deadline_ms)
{
    if (deadline_ms < self->attempts_deadline_ms)
        self->attempts_deadline_ms = deadline_ms;
}

/* ---- life of the session */

static void host_copy(struct pen_session *self, const Pen__HostFacts *host)
{
    self->host = NEW(self, Pen__HostFacts, pen__host_facts__init);
    if (self->host == NULL || host == NULL)
        return;
    char **texts[] = {&self->host->os,     &self->host->arch,    &self->host->hostname,
                      &self->host->kernel, &self->host->version, &self->host->isolation};
    const char *sources[] = {host->os,     host->arch,    host->hostname,
                             host->kernel, host->version, host->isolation};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (sources[i] != NULL)
            *texts[i] = new_text(self, sources[i]);
    self->host->has_cpus = host->has_cpus;
    self->host->cpus = host->cpus;
    self->host->has_memory_bytes = host->has_memory_bytes;
    self->host->memory_bytes = host->memory_bytes;
}

int pen_session_create(const struct pen_session_config *config, struct pen_session **ret_session,
                       struct pen_error *err)
{
    uint32_t slots = config->slots > 0 ? config->slots : config->slots_default;
    if (slots == 0 || slots > PEN_SLOTS_MAX)
        return pen_fail(err, PEN_EINVAL, "slots: %u is not in 1..%d", slots, PEN_SLOTS_MAX);
    PEN_CLEANUP(pen_session_destroy) struct pen_session *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the session");
    self->spool_id = new_text(self, config->spool_id);
    self->boot_id = new_text(self, config->boot_id);
    self->run_id = new_text(self, config->run_id);
    self->machine_id = new_text(self, config->machine_id);
    host_copy(self, config->host);
    self->slots = slots;
    self->slots_said = config->slots;
    self->once = config->once;
    self->heartbeat_ms = PEN_HEARTBEAT_DEFAULT_MS;
    self->attempts_deadline_ms = INT64_MAX;
    if (self->out_of_memory)
        return pen_fail(err, PEN_ENOMEM, "no memory for the session");
    *ret_session = TAKE_PTR(self);
    return 0;
}

void pen_session_destroy(struct pen_session **self_p)
{
    struct pen_session *self = *self_p;
    if (self == NULL)
        return;
    struct attempt *attempt;
    while ((attempt = pen_map_first_value(&self->attempts)) != NULL)
        attempt_remove(self, attempt);
    pen_map_release(&self->attempts);
    for (size_t i = 0; i < self->buried_count; i++)
        message_free(self->buried[i]);
    free(self->buried);
    message_free(self->welcome);
    message_free(self->host);
    free(self->spool_id);
    free(self->boot_id);
    free(self->run_id);
    free(self->machine_id);
    free(self);
    *self_p = NULL;
}

/* ---- steps */

static void expire_attempts(struct pen_session *self, int64_t now_ms, struct pen_session_out *out)
{
    if (now_ms < self->attempts_deadline_ms)
        return;
    self->attempts_deadline_ms = INT64_MAX;
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL; node = next) {
        next = pen_map_next(node);
        struct attempt *attempt = pen_map_value(node);
        if (attempt->state == PEN_ATTEMPT_ACCEPTED) {
            if (now_ms >= attempt->accepted_ms + PEN_ACCEPT_TTL_MS)
                attempt_remove(self, attempt);
            else
                wake_at(self, attempt->accepted_ms + PEN_ACCEPT_TTL_MS);
        } else if (attempt->asking) {
            if (now_ms >= attempt->ask_until_ms)
                (void)attempt_give_up(self, out, attempt,
                                      "the controller did not confirm the start in time", now_ms,
                                      NULL);
            else
                wake_at(self, attempt->ask_until_ms);
        } else if (attempt->state == PEN_ATTEMPT_KILLING) {
            if (now_ms >= attempt->killing_ms + PEN_UNKILLABLE_MS)
                self->unkillable = true;
            else
                wake_at(self, attempt->killing_ms + PEN_UNKILLABLE_MS);
        }
    }
}

static void step_timer(struct pen_session *self, int64_t now_ms, struct pen_session_out *out)
{
    expire_attempts(self, now_ms, out);
    if (!self->connected)
        return;
    if (self->welcomed && now_ms >= self->heard_ms + 3 * self->heartbeat_ms)
        self->welcomed = false; /* nobody answers: open a new session */
    if (!self->welcomed) {
        if (now_ms >= self->hello_ms + PEN_HELLO_RETRY_MS)
            send_hello(self, out, now_ms);
        return;
    }
    if (now_ms < self->next_heartbeat_ms)
        return;
    send_heartbeat(self, out, false, now_ms);
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        if (attempt->last_seq > attempt->acked_seq &&
            now_ms >= attempt->sent_ms + self->heartbeat_ms)
            send_unacked(self, out, attempt, attempt->acked_seq + 1, now_ms);
    }
}

static int step_link(struct pen_session *self, const struct pen_session_input *input,
                     struct pen_session_out *out)
{
    self->connected = input->kind == PEN_IN_CONNECTED;
    self->welcomed = self->hello_open = self->hello_repeated = false;
    self->session_no = 0;
    if (self->connected)
        send_hello(self, out, input->now_ms);
    return 0;
}

int pen_session_step(struct pen_session *self, const struct pen_session_input *input,
                     struct pen_session_out *out, struct pen_error *err)
{
    int rc = 0;
    switch (input->kind) {
    case PEN_IN_CONNECTED:
    case PEN_IN_DISCONNECTED:
        rc = step_link(self, input, out);
        break;
    case PEN_IN_FRAME:
        rc = step_frame(self, input, out, err);
        break;
    case PEN_IN_TIMER:
        step_timer(self, input->now_ms, out);
        break;
    case PEN_IN_BYE:
        send_bye(self, out);
        break;
    case PEN_IN_DRAIN:
        self->drain_local = input->flag;
        break;
    case PEN_IN_DISK_FULL:
        self->disk_full = input->flag;
        break;
    default:
        rc = step_report(self, input, out, err);
        break;
    }
    if (self->out_of_memory)
        return pen_fail(err, PEN_ENOMEM, "no memory for the next step of the session");
    return rc;
}

static void record_free(Pen__JournalRecord *record)
{
    /* The capsule and the event belong to the attempt. */
    if (record->what_case == PEN__JOURNAL_RECORD__WHAT_STARTED && record->started != NULL)
        record->started->capsule = NULL;
    if (record->what_case == PEN__JOURNAL_RECORD__WHAT_EVENT && record->event != NULL)
        record->event->event = NULL;
    message_free(record);
}

void pen_session_turn_done(struct pen_session *self, struct pen_session_out *out)
{
    for (size_t i = 0; i < out->records_count; i++)
        record_free(out->records[i]);
    for (size_t i = 0; i < out->effects_count; i++) {
        Pen__FromAgent *message = out->effects[i].message;
        if (message != NULL && message->body_case == PEN__FROM_AGENT__BODY_EVENT)
            message->event = NULL;
        if (message != NULL && message->body_case == PEN__FROM_AGENT__BODY_HELLO &&
            message->hello != NULL)
            message->hello->host = NULL;
        message_free(message);
    }
    free(out->records);
    free(out->effects);
    *out = (struct pen_session_out){0};
    for (size_t i = 0; i < self->buried_count; i++)
        message_free(self->buried[i]);
    self->buried_count = 0;
}

int64_t pen_session_deadline_ms(const struct pen_session *self)
{
    int64_t deadline_ms = self->attempts_deadline_ms;
    int64_t link_ms = INT64_MAX;
    if (self->connected && !self->welcomed)
        link_ms = self->hello_ms + PEN_HELLO_RETRY_MS;
    else if (self->connected)
        link_ms = self->next_heartbeat_ms;
    return link_ms < deadline_ms ? link_ms : deadline_ms;
}

/* ---- questions */

void pen_session_set_spool_seq(struct pen_session *self, uint64_t spool_seq)
{
    self->spool_seq = spool_seq;
}

enum pen_attempt_state pen_session_state(const struct pen_session *self, uint64_t fence)
{
    const struct attempt *attempt = attempt_get(self, fence);
    return attempt == NULL ? PEN_ATTEMPT_NONE : attempt->state;
}

const Pen__Capsule *pen_session_capsule(const struct pen_session *self, uint64_t fence)
{
    const struct attempt *attempt = attempt_get(self, fence);
    return attempt == NULL ? NULL : attempt->capsule;
}

uint32_t pen_session_free_slots(const struct pen_session *self)
{
    if (self->drain_local || self->drain_remote || self->unkillable || self->disk_full ||
        (self->once && self->once_fence != 0))
        return 0;
    return self->busy >= self->slots ? 0 : self->slots - self->busy;
}

bool pen_session_is_idle(const struct pen_session *self)
{
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (attempt->state == PEN_ATTEMPT_STARTING || attempt->state == PEN_ATTEMPT_RUNNING ||
            attempt->state == PEN_ATTEMPT_KILLING)
            return false;
    }
    return true;
}

bool pen_session_welcomed(const struct pen_session *self)
{
    return self->welcomed;
}

bool pen_session_once_done(const struct pen_session *self, bool *ret_good)
{
    if (!self->once || self->once_fence == 0)
        return false;
    enum pen_attempt_state state = pen_session_state(self, self->once_fence);
    if (state != PEN_ATTEMPT_NONE && state != PEN_ATTEMPT_ACKED)
        return false;
    *ret_good = self->once_good;
    return true;
}
