/* Records, messages and effects, each made in one place. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session/session_internal.h"
#include "common/base/check.h"

/* Whether one more fits into an array of elements of this size. */
static bool grow(struct pen_session *self, void **array, size_t count, size_t *capacity,
                 size_t element_size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity == 0 ? 16 : 2 * *capacity;
    void *grown = realloc(*array, wanted * element_size);
    if (grown == NULL) {
        self->out_of_memory = true;
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

struct pen_session_effect *effect_add(struct pen_session *self, struct pen_session_out *out,
                                      enum pen_session_effect_kind kind, uint64_t fence)
{
    void *array = out->effects;
    bool room =
        grow(self, &array, out->effects_count, &out->effects_capacity, sizeof *out->effects);
    out->effects = array;
    if (!room)
        return NULL;
    struct pen_session_effect *effect = &out->effects[out->effects_count++];
    *effect = (struct pen_session_effect){.kind = kind, .fence = fence};
    return effect;
}

Pen__FromAgent *message_add(struct pen_session *self, struct pen_session_out *out, bool after_sync)
{
    Pen__FromAgent *message = NEW(self, Pen__FromAgent, pen__from_agent__init);
    if (message == NULL)
        return NULL;
    struct pen_session_effect *effect = effect_add(self, out, PEN_OUT_SEND, 0);
    if (effect == NULL) {
        protobuf_c_message_free_unpacked(&message->base, NULL);
        return NULL;
    }
    effect->after_sync = after_sync;
    effect->message = message;
    message->has_session_no = true;
    message->session_no = self->session_no;
    return message;
}

/* ---- records */

static Pen__JournalRecord *record_add(struct pen_session *self, struct pen_session_out *out)
{
    void *array = out->records;
    bool room =
        grow(self, &array, out->records_count, &out->records_capacity, sizeof *out->records);
    out->records = array;
    Pen__JournalRecord *record =
        room ? NEW(self, Pen__JournalRecord, pen__journal_record__init) : NULL;
    if (record != NULL)
        out->records[out->records_count++] = record;
    return record;
}

/* The record, with its part made and tied to it; the macro returns when there is no memory. */
#define RECORD(type, lower, member, case_name)                                                     \
    Pen__JournalRecord *record = record_add(self, out);                                            \
    type *part = record == NULL ? NULL : NEW(self, type, lower##__init);                           \
    if (part == NULL)                                                                              \
        return;                                                                                    \
    record->what_case = PEN__JOURNAL_RECORD__WHAT_##case_name;                                     \
    record->member = part

void record_started(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt)
{
    RECORD(Pen__AttemptJournaled, pen__attempt_journaled, started, STARTED);
    part->has_fence = true;
    part->fence = attempt->fence;
    part->capsule = attempt->capsule;
    part->boot_id = new_text(self, attempt->boot_id);
}

void record_began(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt)
{
    RECORD(Pen__AttemptBegan, pen__attempt_began, began, BEGAN);
    const Pen__AttemptBegan *source = &attempt->began_record;
    part->has_fence = part->has_shim_pid = part->has_shim_start_time = part->has_began_ms = true;
    part->fence = attempt->fence;
    part->shim_pid = source->shim_pid;
    part->shim_start_time = source->shim_start_time;
    part->began_ms = source->began_ms;
}

void record_killing(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt)
{
    RECORD(Pen__AttemptKilling, pen__attempt_killing, killing, KILLING);
    part->has_fence = true;
    part->fence = attempt->fence;
    part->reason = new_text(self, attempt->kill_reason);
}

void record_event(struct pen_session *self, struct pen_session_out *out, Pen__Event *event)
{
    RECORD(Pen__AttemptEvent, pen__attempt_event, event, EVENT);
    part->event = event;
}

void record_acked(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt)
{
    RECORD(Pen__AttemptAcked, pen__attempt_acked, acked, ACKED);
    part->has_fence = part->has_seq = true;
    part->fence = attempt->fence;
    part->seq = attempt->acked_seq;
}

void record_tomb(struct pen_session *self, struct pen_session_out *out, uint64_t fence)
{
    RECORD(Pen__AttemptTomb, pen__attempt_tomb, tomb, TOMB);
    part->has_fence = true;
    part->fence = fence;
}

void record_released(struct pen_session *self, struct pen_session_out *out, uint64_t fence,
                     uint64_t gc_below)
{
    RECORD(Pen__AttemptReleased, pen__attempt_released, released, RELEASED);
    part->has_gc_below = true;
    part->gc_below = gc_below;
    if (fence == 0)
        return;
    part->fences = malloc(sizeof *part->fences);
    if (part->fences == NULL) {
        self->out_of_memory = true;
        return;
    }
    part->fences[0] = fence;
    part->n_fences = 1;
}

/* ---- messages */

void send_event(struct pen_session *self, struct pen_session_out *out, Pen__Event *event)
{
    Pen__FromAgent *message = self->welcomed ? message_add(self, out, false) : NULL;
    if (message == NULL)
        return; /* it is in the journal: Welcome asks for it */
    message->body_case = PEN__FROM_AGENT__BODY_EVENT;
    message->event = event;
    message->has_ready = event->what_case == PEN__EVENT__WHAT_FINISHED;
    message->ready = message->has_ready && takes_work(self);
}

void send_unacked(struct pen_session *self, struct pen_session_out *out, struct attempt *attempt,
                  uint64_t from_seq, int64_t now_ms)
{
    for (size_t i = 0; i < attempt->events_count; i++)
        if (attempt->events[i]->seq >= from_seq)
            send_event(self, out, attempt->events[i]);
    attempt->sent_ms = now_ms;
}

static Pen__AttemptPhase phase_of(enum pen_attempt_state state)
{
    switch (state) {
    case PEN_ATTEMPT_STARTING:
        return PEN__ATTEMPT_PHASE__PHASE_STARTING;
    case PEN_ATTEMPT_RUNNING:
        return PEN__ATTEMPT_PHASE__PHASE_RUNNING;
    case PEN_ATTEMPT_KILLING:
        return PEN__ATTEMPT_PHASE__PHASE_KILLING;
    case PEN_ATTEMPT_EXITED:
        return PEN__ATTEMPT_PHASE__PHASE_EXITED;
    case PEN_ATTEMPT_UPLOADING:
        return PEN__ATTEMPT_PHASE__PHASE_UPLOADING;
    case PEN_ATTEMPT_FINISHED:
    case PEN_ATTEMPT_ACKED:
        return PEN__ATTEMPT_PHASE__PHASE_FINISHED;
    default:
        return PEN__ATTEMPT_PHASE__PHASE_TOMB;
    }
}

static Pen__InventoryItem *inventory_item(struct pen_session *self, const struct attempt *attempt)
{
    Pen__InventoryItem *item = NEW(self, Pen__InventoryItem, pen__inventory_item__init);
    if (item == NULL)
        return NULL;
    item->has_fence = item->has_phase = item->has_last_seq = item->has_log_size = true;
    item->fence = attempt->fence;
    item->phase = phase_of(attempt->state);
    item->last_seq = attempt->last_seq;
    item->log_size = attempt->log_size;
    return item;
}

static void inventory_fill(struct pen_session *self, size_t *ret_count,
                           Pen__InventoryItem ***ret_items)
{
    if (self->attempts.count == 0)
        return;
    Pen__InventoryItem **items = calloc(self->attempts.count, sizeof *items);
    if (items == NULL) {
        self->out_of_memory = true;
        return;
    }
    size_t count = 0;
    bool tombs = self->attempts.count <= PEN_INVENTORY_MAX;
    for (struct pen_map_node *node = pen_map_first(&self->attempts);
         node != NULL && count < PEN_INVENTORY_MAX; node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (attempt->state == PEN_ATTEMPT_ACCEPTED)
            continue; /* nothing was granted */
        if (attempt->state == PEN_ATTEMPT_TOMB && !tombs)
            continue;
        items[count] = inventory_item(self, attempt);
        if (items[count] == NULL)
            break;
        count++;
    }
    *ret_items = items;
    *ret_count = count;
}

void send_hello(struct pen_session *self, struct pen_session_out *out, int64_t now_ms)
{
    self->hello_ms = now_ms;
    self->hello_repeated = self->hello_repeated || self->hello_open;
    self->hello_open = true;
    self->session_no = 0;
    /* What Hello says of the journal must stay true: a journal behind it looks like a copy. */
    out->sync = true;
    Pen__FromAgent *message = message_add(self, out, true);
    Pen__Hello *hello = message == NULL ? NULL : NEW(self, Pen__Hello, pen__hello__init);
    if (hello == NULL)
        return;
    message->body_case = PEN__FROM_AGENT__BODY_HELLO;
    message->hello = hello;
    hello->has_proto_min = hello->has_proto_max = hello->has_spool_seq = true;
    hello->proto_min = hello->proto_max = 1;
    hello->spool_seq = self->spool_seq;
    hello->has_max_fence = hello->has_slots = hello->has_draining = hello->has_once = true;
    hello->max_fence = self->max_fence;
    hello->slots = self->slots_said;
    /* For the whole session: a full disk passes, and is said to each offer instead. */
    hello->draining = self->drain_local || self->unkillable;
    hello->once = self->once;
    hello->spool_id = new_text(self, self->spool_id);
    hello->boot_id = new_text(self, self->boot_id);
    hello->run_id = new_text(self, self->run_id);
    hello->machine_id = new_text(self, self->machine_id);
    hello->host = self->host;
    inventory_fill(self, &hello->n_inventory, &hello->inventory);
}

static uint64_t fnv_add(uint64_t hash, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++) {
        hash ^= (number >> (8 * i)) & 0xff;
        hash *= UINT64_C(1099511628211);
    }
    return hash;
}

uint64_t pen_session_inventory_digest(const struct pen_session *self)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    bool empty = true;
    for (struct pen_map_node *node = pen_map_first(&self->attempts); node != NULL;
         node = pen_map_next(node)) {
        const struct attempt *attempt = pen_map_value(node);
        if (attempt->state == PEN_ATTEMPT_ACCEPTED)
            continue;
        empty = false;
        hash = fnv_add(hash, attempt->fence);
        hash = fnv_add(hash, (uint64_t)phase_of(attempt->state));
        hash = fnv_add(hash, attempt->last_seq);
    }
    return empty ? 0 : hash;
}

enum { INVENTORY_DIGEST_SIZE = sizeof(uint64_t) };

void send_heartbeat(struct pen_session *self, struct pen_session_out *out, bool with_inventory,
                    int64_t now_ms)
{
    self->next_heartbeat_ms = now_ms + self->heartbeat_ms;
    Pen__FromAgent *message = message_add(self, out, false);
    Pen__Heartbeat *beat = message == NULL ? NULL : NEW(self, Pen__Heartbeat, pen__heartbeat__init);
    if (beat == NULL)
        return;
    message->body_case = PEN__FROM_AGENT__BODY_HEARTBEAT;
    message->heartbeat = beat;
    beat->has_number = beat->has_free_slots = true;
    beat->number = ++self->heartbeat_number;
    beat->free_slots = pen_session_free_slots(self);
    uint64_t digest = pen_session_inventory_digest(self);
    beat->inventory_digest.data = malloc(INVENTORY_DIGEST_SIZE);
    if (beat->inventory_digest.data == NULL) {
        self->out_of_memory = true;
        return;
    }
    for (unsigned i = 0; i < INVENTORY_DIGEST_SIZE; i++)
        beat->inventory_digest.data[i] = (uint8_t)(digest >> (8 * i));
    beat->inventory_digest.len = sizeof digest;
    beat->has_inventory_digest = true;
    if (with_inventory)
        self->inventory_number = beat->number;
    if (with_inventory)
        inventory_fill(self, &beat->n_inventory, &beat->inventory);
}

void send_revoked(struct pen_session *self, struct pen_session_out *out, uint64_t fence,
                  const struct attempt *attempt)
{
    bool never_began = attempt == NULL || attempt->state == PEN_ATTEMPT_TOMB;
    Pen__FromAgent *message = message_add(self, out, true);
    Pen__Revoked *revoked = message == NULL ? NULL : NEW(self, Pen__Revoked, pen__revoked__init);
    if (revoked == NULL)
        return;
    message->body_case = PEN__FROM_AGENT__BODY_REVOKED;
    message->revoked = revoked;
    revoked->has_fence = revoked->has_never_began = true;
    revoked->fence = fence;
    revoked->never_began = never_began;
    if (!never_began)
        revoked->item = inventory_item(self, attempt);
}

void send_bye(struct pen_session *self, struct pen_session_out *out)
{
    Pen__FromAgent *message = self->welcomed ? message_add(self, out, false) : NULL;
    Pen__Bye *bye = message == NULL ? NULL : NEW(self, Pen__Bye, pen__bye__init);
    if (bye == NULL)
        return;
    message->body_case = PEN__FROM_AGENT__BODY_BYE;
    message->bye = bye;
}
