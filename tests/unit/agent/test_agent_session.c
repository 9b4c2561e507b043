/* The session: every move of the table, every frame in every state, and the fold of its own
 * journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/actions/command.h"
#include "agent/session/session.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"

enum { RECORDS_MAX = 4096, KINDS = PEN_OUT_SUPERSEDED + 1 };

struct world {
    struct pen_session *session;
    struct pen_session_out out;
    Pen__JournalRecord *records[RECORDS_MAX]; /* the journal, as copies */
    size_t records_count;
    int64_t now_ms;
    uint64_t session_no;
    struct pen_error err;
    /* what the last step put out */
    size_t effects[KINDS];
    bool start_after_sync, revoked_after_sync, sync;
    Pen__FromAgent *sent[64]; /* copies */
    size_t sent_count;
};

static const struct pen_session_config config = {
    .spool_id = "spool", .boot_id = "boot-1", .run_id = "run", .machine_id = "machine", .slots = 2};

static void forget_step(struct world *world)
{
    for (size_t i = 0; i < world->sent_count; i++)
        pen_message_destroy(&world->sent[i]);
    world->sent_count = 0;
    memset(world->effects, 0, sizeof world->effects);
    world->start_after_sync = world->revoked_after_sync = world->sync = false;
}

/* What the app would do with it: keep the records, look at the effects. */
static void collect(struct world *world)
{
    forget_step(world);
    for (size_t i = 0; i < world->out.records_count; i++) {
        ProtobufCMessage *copy = NULL;
        assert_in_range(world->records_count, 0, RECORDS_MAX - 1);
        assert_int_equal(pen_wire_copy(world->out.records[i], &copy, NULL), 0);
        world->records[world->records_count++] = (Pen__JournalRecord *)copy;
    }
    for (size_t i = 0; i < world->out.effects_count; i++) {
        const struct pen_session_effect *effect = &world->out.effects[i];
        world->effects[effect->kind]++;
        if (effect->kind == PEN_OUT_START)
            world->start_after_sync = effect->after_sync;
        if (effect->kind != PEN_OUT_SEND)
            continue;
        if (effect->message->body_case == PEN__FROM_AGENT__BODY_REVOKED)
            world->revoked_after_sync = effect->after_sync;
        ProtobufCMessage *copy = NULL;
        assert_int_equal(pen_wire_copy(effect->message, &copy, NULL), 0);
        assert_in_range(world->sent_count, 0, 63);
        world->sent[world->sent_count++] = (Pen__FromAgent *)copy;
    }
    world->sync = world->out.sync;
    pen_session_turn_done(world->session, &world->out);
}

static int step(struct world *world, struct pen_session_input *input)
{
    input->now_ms = world->now_ms;
    world->err = (struct pen_error){0};
    int rc = pen_session_step(world->session, input, &world->out, &world->err);
    collect(world);
    return rc;
}

static int report(struct world *world, enum pen_session_input_kind kind, uint64_t fence)
{
    Pen__ShimExit shim_exit = PEN__SHIM_EXIT__INIT;
    shim_exit.has_exit_code = true;
    struct pen_session_input input = {
        .kind = kind, .fence = fence, .text = "because", .exit = &shim_exit, .flag = true};
    return step(world, &input);
}

static int frame(struct world *world, Pen__ToAgent__BodyCase kind, void *body)
{
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.has_session_no = true;
    message.session_no = world->session_no;
    message.body_case = kind;
    message.welcome = body;
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(&message, &copy, NULL), 0);
    struct pen_session_input input = {.kind = PEN_IN_FRAME, .frame = (Pen__ToAgent *)copy};
    int rc = step(world, &input);
    pen_message_destroy(&copy);
    return rc;
}

static int welcome(struct world *world, uint64_t known_fence, uint64_t known_seq)
{
    Pen__Welcome body = PEN__WELCOME__INIT;
    Pen__KnownAttempt known = PEN__KNOWN_ATTEMPT__INIT;
    Pen__KnownAttempt *list[] = {&known};
    known.has_fence = known.has_last_seq = true;
    known.fence = known_fence;
    known.last_seq = known_seq;
    body.has_session_no = true;
    body.session_no = ++world->session_no;
    body.known = list;
    body.n_known = known_fence == 0 ? 0 : 1;
    return frame(world, PEN__TO_AGENT__BODY_WELCOME, &body);
}

static int offer(struct world *world, uint64_t fence)
{
    Pen__Offer body = PEN__OFFER__INIT;
    body.has_fence = true;
    body.fence = fence;
    return frame(world, PEN__TO_AGENT__BODY_OFFER, &body);
}

static int start_with(struct world *world, uint64_t fence, const char *provider, uint32_t ttl_ms,
                      bool outputs)
{
    Pen__Start body = PEN__START__INIT;
    Pen__Capsule capsule = PEN__CAPSULE__INIT;
    Pen__ArtifactWish wish = PEN__ARTIFACT_WISH__INIT;
    Pen__ArtifactWish *wishes[] = {&wish};
    char command[] = "true";
    char *commands[] = {command, command};
    wish.name = command;
    capsule.has_fence = body.has_fence = true;
    capsule.fence = body.fence = fence;
    capsule.provider = (char *)(uintptr_t)provider;
    capsule.commands = commands;
    capsule.n_commands = 2;
    capsule.outputs = wishes;
    capsule.n_outputs = outputs ? 1 : 0;
    body.capsule = &capsule;
    body.has_start_ttl_ms = ttl_ms > 0;
    body.start_ttl_ms = ttl_ms;
    return frame(world, PEN__TO_AGENT__BODY_START, &body);
}

static int start(struct world *world, uint64_t fence)
{
    return start_with(world, fence, "Commands", 0, false);
}

static int revoke(struct world *world, uint64_t fence)
{
    Pen__Revoke body = PEN__REVOKE__INIT;
    body.has_fence = true;
    body.fence = fence;
    return frame(world, PEN__TO_AGENT__BODY_REVOKE, &body);
}

static int cancel(struct world *world, uint64_t fence)
{
    Pen__Cancel body = PEN__CANCEL__INIT;
    body.has_fence = true;
    body.fence = fence;
    return frame(world, PEN__TO_AGENT__BODY_CANCEL, &body);
}

static int ack(struct world *world, uint64_t fence, uint64_t seq)
{
    Pen__EventAck body = PEN__EVENT_ACK__INIT;
    body.has_fence = body.has_seq = true;
    body.fence = fence;
    body.seq = seq;
    return frame(world, PEN__TO_AGENT__BODY_EVENT_ACK, &body);
}

static int release(struct world *world, uint64_t fence)
{
    Pen__Release body = PEN__RELEASE__INIT;
    body.fences = &fence;
    body.n_fences = 1;
    return frame(world, PEN__TO_AGENT__BODY_RELEASE, &body);
}

static void open_with(struct world *world, const char *boot_id)
{
    struct pen_session_config with_boot = config;
    with_boot.boot_id = boot_id;
    assert_int_equal(pen_session_create(&with_boot, &world->session, NULL), 0);
}

static void connect_session(struct world *world)
{
    struct pen_session_input input = {.kind = PEN_IN_CONNECTED};
    assert_int_equal(step(world, &input), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_HELLO);
}

/* The process ends, and another one folds the journal. */
static void restart(struct world *world, const char *boot_id)
{
    pen_session_destroy(&world->session);
    open_with(world, boot_id);
    for (size_t i = 0; i < world->records_count; i++) {
        ProtobufCMessage *copy = NULL;
        struct pen_error err = {0};
        assert_int_equal(pen_wire_copy(world->records[i], &copy, NULL), 0);
        if (pen_session_load(world->session, (Pen__JournalRecord *)copy, &err) < 0)
            fail_msg("%s", err.message);
        pen_message_destroy(&copy);
    }
    assert_int_equal(pen_session_recover(world->session, &world->out, NULL), 0);
    collect(world);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->now_ms = 1000000;
    open_with(world, "boot-1");
    connect_session(world);
    assert_int_equal(welcome(world, 0, 0), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    forget_step(world);
    for (size_t i = 0; i < world->records_count; i++)
        pen_message_destroy(&world->records[i]);
    pen_session_destroy(&world->session);
    free(world);
    return 0;
}

/* Bring attempt 7 into a state by its real path. */
static void bring(struct world *world, enum pen_attempt_state state)
{
    switch (state) {
    case PEN_ATTEMPT_NONE:
        return;
    case PEN_ATTEMPT_ACCEPTED:
        assert_int_equal(offer(world, 7), 0);
        break;
    case PEN_ATTEMPT_STARTING:
        bring(world, PEN_ATTEMPT_ACCEPTED);
        assert_int_equal(start_with(world, 7, "Commands", 0, true), 0);
        break;
    case PEN_ATTEMPT_RUNNING:
        bring(world, PEN_ATTEMPT_STARTING);
        assert_int_equal(report(world, PEN_IN_BEGAN, 7), 0);
        break;
    case PEN_ATTEMPT_KILLING:
        bring(world, PEN_ATTEMPT_RUNNING);
        assert_int_equal(cancel(world, 7), 0);
        break;
    case PEN_ATTEMPT_UPLOADING:
        bring(world, PEN_ATTEMPT_RUNNING);
        assert_int_equal(report(world, PEN_IN_EXITED, 7), 0);
        break;
    case PEN_ATTEMPT_FINISHED:
        bring(world, PEN_ATTEMPT_UPLOADING);
        assert_int_equal(report(world, PEN_IN_PACKED, 7), 0);
        break;
    case PEN_ATTEMPT_ACKED:
        bring(world, PEN_ATTEMPT_FINISHED);
        assert_int_equal(ack(world, 7, 2), 0);
        break;
    case PEN_ATTEMPT_TOMB:
        assert_int_equal(revoke(world, 7), 0);
        break;
    default:
        fail_msg("no path");
    }
    assert_int_equal(pen_session_state(world->session, 7), state);
}

static const enum pen_attempt_state resting[] = {
    PEN_ATTEMPT_NONE,     PEN_ATTEMPT_ACCEPTED, PEN_ATTEMPT_STARTING,
    PEN_ATTEMPT_RUNNING,  PEN_ATTEMPT_KILLING,  PEN_ATTEMPT_UPLOADING,
    PEN_ATTEMPT_FINISHED, PEN_ATTEMPT_ACKED,    PEN_ATTEMPT_TOMB,
};
enum { RESTING = sizeof resting / sizeof resting[0] };

/* In each state each report either moves as the table says, or is an error with a name that changes
 * nothing and writes nothing. */
static void test_every_report_in_every_state(void **state)
{
    (void)state;
    static const enum pen_session_input_kind kinds[] = {
        PEN_IN_BEGAN,        PEN_IN_EXITED, PEN_IN_VANISHED,
        PEN_IN_SETUP_FAILED, PEN_IN_PACKED, PEN_IN_PACK_FAILED,
    };
    /*                    BEGAN EXITED VANISHED SETUP PACKED PACK_FAILED : 1 = allowed */
    static const bool allowed[RESTING][6] = {
        {0, 0, 0, 0, 0, 0}, /* none */
        {0, 0, 0, 0, 0, 0}, /* accepted: not asked */
        {1, 1, 1, 1, 0, 0}, /* starting */
        {1, 1, 1, 1, 0, 0}, /* running; began again is what an adopted shim says */
        {1, 1, 1, 1, 0, 0}, /* killing */
        {1, 0, 0, 0, 1, 1}, /* uploading */
        {1, 0, 0, 0, 0, 0}, /* finished */
        {1, 0, 0, 0, 0, 0}, /* acked */
        {0, 0, 0, 0, 0, 0}, /* tomb */
    };
    for (size_t row = 0; row < RESTING; row++) {
        if (resting[row] == PEN_ATTEMPT_ACCEPTED)
            continue; /* nothing was started: nobody can report on it */
        for (size_t column = 0; column < 6; column++) {
            void *fresh = NULL;
            assert_int_equal(set_up(&fresh), 0);
            struct world *world = fresh;
            bring(world, resting[row]);
            size_t records = world->records_count;
            int rc = report(world, kinds[column], 7);
            if (allowed[row][column]) {
                assert_int_equal(rc, 0);
            } else {
                assert_true(rc == PEN_ECONFLICT || rc == PEN_ENOTFOUND);
                assert_true(world->err.message[0] != 0);
                assert_int_equal(world->records_count, records);
                assert_int_equal(pen_session_state(world->session, 7), resting[row]);
            }
            tear_down(&fresh);
        }
    }
}

/* No move but those of the table: the closure of what frames and reports can do. */
static void test_moves(void **state)
{
    (void)state;
    assert_false(pen_attempt_may(PEN_ATTEMPT_TOMB, PEN_ATTEMPT_STARTING));
    assert_false(pen_attempt_may(PEN_ATTEMPT_FINISHED, PEN_ATTEMPT_RUNNING));
    assert_false(pen_attempt_may(PEN_ATTEMPT_STARTING, PEN_ATTEMPT_TOMB));
    assert_false(pen_attempt_may(PEN_ATTEMPT_ACKED, PEN_ATTEMPT_STARTING));
    assert_true(pen_attempt_may(PEN_ATTEMPT_ACCEPTED, PEN_ATTEMPT_TOMB));
    for (int to = 0; to < PEN_ATTEMPT_STATES; to++) {
        assert_false(pen_attempt_may(PEN_ATTEMPT_TOMB, (enum pen_attempt_state)to));
        assert_false(pen_attempt_may(PEN_ATTEMPT_ACKED, (enum pen_attempt_state)to));
    }
}

/* A second START never starts a second time, whatever the state, also after a restart. */
static void test_start_again(void **state)
{
    (void)state;
    for (size_t row = 2; row < RESTING; row++) {
        for (int restarted = 0; restarted <= 1; restarted++) {
            void *fresh = NULL;
            assert_int_equal(set_up(&fresh), 0);
            struct world *world = fresh;
            bring(world, resting[row]);
            if (restarted) {
                restart(world, "boot-1");
                connect_session(world);
                assert_int_equal(welcome(world, 0, 0), 0);
            }
            assert_int_equal(start(world, 7), 0);
            assert_int_equal(world->effects[PEN_OUT_START], 0);
            if (resting[row] == PEN_ATTEMPT_TOMB)
                assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_REVOKED);
            tear_down(&fresh);
        }
    }
}

/* A revoke proves that it never began only where that is so. */
static void test_revoke_in_every_state(void **state)
{
    (void)state;
    for (size_t row = 0; row < RESTING; row++) {
        void *fresh = NULL;
        assert_int_equal(set_up(&fresh), 0);
        struct world *world = fresh;
        bring(world, resting[row]);
        assert_int_equal(revoke(world, 7), 0);
        const Pen__Revoked *revoked = NULL;
        for (size_t i = 0; i < world->sent_count; i++)
            if (world->sent[i]->body_case == PEN__FROM_AGENT__BODY_REVOKED)
                revoked = world->sent[i]->revoked;
        assert_non_null(revoked);
        bool unborn = resting[row] == PEN_ATTEMPT_NONE || resting[row] == PEN_ATTEMPT_ACCEPTED ||
                      resting[row] == PEN_ATTEMPT_TOMB;
        assert_int_equal(revoked->never_began, unborn);
        assert_true(world->revoked_after_sync);
        assert_int_equal(world->sync, unborn);
        if (unborn)
            assert_int_equal(pen_session_state(world->session, 7), PEN_ATTEMPT_TOMB);
        tear_down(&fresh);
    }
}

static void test_start_is_durable_first(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_STARTING);
    assert_int_equal(world->effects[PEN_OUT_START], 1);
    assert_true(world->start_after_sync);
    assert_true(world->sync);
    assert_int_equal(world->records[0]->what_case, PEN__JOURNAL_RECORD__WHAT_STARTED);
}

static void test_refused_starts(void **state)
{
    struct world *world = *state;
    assert_int_equal(offer(world, 7), 0);
    world->now_ms += 9000;
    assert_int_equal(start_with(world, 7, "Commands", 5000, false), 0); /* too late */
    assert_int_equal(world->effects[PEN_OUT_START], 0);
    const Pen__Finished *finished = world->sent[0]->event->finished;
    assert_int_equal(finished->kind, PEN__FINISH_KIND__REFUSED_START);
    assert_int_equal(world->sent[0]->event->seq, 1);
    assert_int_equal(start_with(world, 8, "Lambda", 0, false), 0);
    assert_int_equal(world->effects[PEN_OUT_START], 0);
    assert_int_equal(start(world, 6), 0); /* below what was started here */
    assert_int_equal(world->effects[PEN_OUT_START], 0);
    assert_int_equal(world->sent[0]->event->finished->kind, PEN__FINISH_KIND__REFUSED_START);
    restart(world, "boot-1"); /* refusals have no start record, and fold all the same */
    assert_int_equal(pen_session_state(world->session, 6), PEN_ATTEMPT_FINISHED);
}

static void test_offers(void **state)
{
    struct world *world = *state;
    assert_int_equal(offer(world, 1), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_ACCEPT);
    assert_int_equal(offer(world, 2), 0);
    assert_int_equal(pen_session_free_slots(world->session), 0);
    assert_int_equal(offer(world, 3), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_DECLINE);
    world->now_ms += PEN_ACCEPT_TTL_MS;
    assert_true(pen_session_deadline_ms(world->session) <= world->now_ms);
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    assert_int_equal(step(world, &timer), 0);
    assert_int_equal(pen_session_free_slots(world->session), 2);
    struct pen_session_input full = {.kind = PEN_IN_DISK_FULL, .flag = true};
    assert_int_equal(step(world, &full), 0);
    assert_int_equal(offer(world, 4), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_DECLINE);
    connect_session(world);
    assert_false(world->sent[0]->hello->draining); /* else nothing is offered when there is space */
}

static void test_cancel_before_it_began(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_STARTING);
    assert_int_equal(cancel(world, 7), 0);
    assert_int_equal(world->effects[PEN_OUT_KILL], 1);
    assert_int_equal(report(world, PEN_IN_SETUP_FAILED, 7), 0);
    assert_int_equal(world->sent[0]->event->finished->kind, PEN__FINISH_KIND__KILLED);
}

static void test_unkillable_drains(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_KILLING);
    world->now_ms += PEN_UNKILLABLE_MS;
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    assert_int_equal(step(world, &timer), 0);
    assert_int_equal(pen_session_free_slots(world->session), 0);
}

static void test_stale_session(void **state)
{
    struct world *world = *state;
    world->session_no = 99;
    assert_int_equal(offer(world, 7), PEN_ESTALE);
    assert_int_equal(pen_session_state(world->session, 7), PEN_ATTEMPT_NONE);
}

static int superseded(struct world *world, uint64_t session_no)
{
    Pen__Refused body = PEN__REFUSED__INIT;
    body.has_code = true;
    body.code = PEN__REFUSED_CODE__SUPERSEDED;
    uint64_t present = world->session_no;
    world->session_no = session_no;
    int rc = frame(world, PEN__TO_AGENT__BODY_REFUSED, &body);
    world->session_no = present;
    return rc;
}

static void test_superseded(void **state)
{
    struct world *world = *state;
    assert_int_equal(superseded(world, world->session_no), 0);
    assert_int_equal(world->effects[PEN_OUT_SUPERSEDED], 1);
}

/* A Hello that is repeated opens two sessions, and messages of the first are refused: that is no
 * rival. */
static void test_superseded_by_itself(void **state)
{
    struct world *world = *state;
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    connect_session(world);
    world->now_ms += PEN_HELLO_RETRY_MS;
    assert_int_equal(step(world, &timer), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_HELLO);
    assert_int_equal(welcome(world, 0, 0), 0);
    uint64_t first = world->session_no;
    assert_int_equal(welcome(world, 0, 0), 0);
    assert_int_equal(superseded(world, first), 0); /* of the session before this one */
    assert_int_equal(world->effects[PEN_OUT_SUPERSEDED], 0);
    assert_true(pen_session_welcomed(world->session));
    world->now_ms += PEN_HELLO_RETRY_MS;
    assert_int_equal(superseded(world, world->session_no), 0); /* a third Welcome was lost */
    assert_int_equal(world->effects[PEN_OUT_SUPERSEDED], 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_HELLO);
    assert_int_equal(welcome(world, 0, 0), 0);
    assert_int_equal(superseded(world, world->session_no), 0); /* now somebody else */
    assert_int_equal(world->effects[PEN_OUT_SUPERSEDED], 1);
}

/* Several words of the first session are refused, each alone, soon after the second Hello. */
static void test_superseded_by_itself_in_many_words(void **state)
{
    struct world *world = *state;
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    connect_session(world);
    world->now_ms += PEN_HELLO_RETRY_MS;
    assert_int_equal(step(world, &timer), 0);
    assert_int_equal(welcome(world, 0, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(superseded(world, world->session_no), 0);
    assert_int_equal(world->effects[PEN_OUT_SUPERSEDED], 0);
    world->now_ms += PEN_HELLO_RETRY_MS;
    assert_int_equal(step(world, &timer), 0);
    assert_int_equal(world->sent[0]->body_case, PEN__FROM_AGENT__BODY_HELLO);
}

/* That it may work again can get lost: a new session begins undrained. */
static void test_welcome_ends_a_drain(void **state)
{
    struct world *world = *state;
    Pen__Drain body = PEN__DRAIN__INIT;
    body.has_on = body.on = true;
    assert_int_equal(frame(world, PEN__TO_AGENT__BODY_DRAIN, &body), 0);
    assert_int_equal(pen_session_free_slots(world->session), 0);
    connect_session(world);
    assert_int_equal(welcome(world, 0, 0), 0);
    assert_int_equal(pen_session_free_slots(world->session), 2);
}

static void test_reconnect_resends(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_FINISHED);
    connect_session(world);
    assert_int_equal(world->sent[0]->hello->n_inventory, 1);
    assert_int_equal(world->sent[0]->hello->inventory[0]->last_seq, 2);
    assert_int_equal(welcome(world, 7, 1), 0);
    assert_int_equal(world->sent_count, 1); /* the second event only */
    assert_int_equal(world->sent[0]->event->seq, 2);
}

/* Cut the journal after each record: what is folded is a state from which the attempt goes on, and
 * what is asked for fits that state. */
static void test_fold_at_every_record(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_ACKED);
    size_t all = world->records_count;
    for (size_t cut = 0; cut <= all; cut++) {
        struct world other = {.now_ms = world->now_ms, .session_no = 100};
        for (size_t i = 0; i < cut; i++) {
            ProtobufCMessage *copy = NULL;
            assert_int_equal(pen_wire_copy(world->records[i], &copy, NULL), 0);
            other.records[other.records_count++] = (Pen__JournalRecord *)copy;
        }
        open_with(&other, "boot-1");
        restart(&other, "boot-1");
        enum pen_attempt_state folded = pen_session_state(other.session, 7);
        bool live = folded == PEN_ATTEMPT_STARTING || folded == PEN_ATTEMPT_RUNNING;
        assert_int_equal(other.effects[PEN_OUT_ADOPT], live ? 1 : 0);
        assert_int_equal(other.effects[PEN_OUT_START], 0);
        connect_session(&other);
        assert_int_equal(welcome(&other, 0, 0), 0);
        if (live)
            assert_int_equal(report(&other, PEN_IN_VANISHED, 7), 0);
        if (cut > 0)
            assert_true(pen_session_state(other.session, 7) >= PEN_ATTEMPT_FINISHED);
        /* Its own snapshot folds to the same state. */
        enum pen_attempt_state before = pen_session_state(other.session, 7);
        uint64_t digest = pen_session_inventory_digest(other.session);
        for (size_t i = 0; i < other.records_count; i++)
            pen_message_destroy(&other.records[i]);
        other.records_count = 0;
        assert_int_equal(pen_session_snapshot(other.session, &other.out, NULL), 0);
        collect(&other);
        restart(&other, "boot-1");
        assert_int_equal(pen_session_state(other.session, 7), before);
        assert_int_equal(pen_session_inventory_digest(other.session), digest);
        forget_step(&other);
        for (size_t i = 0; i < other.records_count; i++)
            pen_message_destroy(&other.records[i]);
        pen_session_destroy(&other.session);
    }
}

/* After a reboot nothing is adopted, and the result is numbered above what the controller has, even
 * if the end of the journal went with the host. */
static void test_reboot(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_STARTING);
    restart(world, "boot-2");
    assert_int_equal(world->effects[PEN_OUT_ADOPT], 0);
    connect_session(world);
    assert_int_equal(welcome(world, 7, 3), 0); /* three events are there; the journal has none */
    assert_int_equal(world->sent_count, 1);
    assert_int_equal(world->sent[0]->event->seq, 4);
    assert_int_equal(world->sent[0]->event->finished->kind, PEN__FINISH_KIND__INTERRUPTED);
}

static void test_release_forgets(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_ACKED);
    assert_int_equal(release(world, 7), 0);
    assert_int_equal(world->effects[PEN_OUT_RELEASE], 1);
    assert_int_equal(pen_session_state(world->session, 7), PEN_ATTEMPT_NONE);
    assert_int_equal(pen_session_inventory_digest(world->session), 0);
    restart(world, "boot-1");
    assert_int_equal(pen_session_state(world->session, 7), PEN_ATTEMPT_NONE);
    connect_session(world);
    assert_int_equal(world->sent[0]->hello->max_fence, 7); /* but never start it again */
    assert_int_equal(welcome(world, 0, 0), 0);
    assert_int_equal(start(world, 7), 0);
    assert_int_equal(world->effects[PEN_OUT_START], 0);
}

/* Given up by the controller while it runs: killed, then forgotten. */
static void test_release_while_running(void **state)
{
    struct world *world = *state;
    bring(world, PEN_ATTEMPT_RUNNING);
    assert_int_equal(release(world, 7), 0);
    assert_int_equal(world->effects[PEN_OUT_KILL], 1);
    assert_int_equal(world->effects[PEN_OUT_RELEASE], 0);
    assert_int_equal(report(world, PEN_IN_VANISHED, 7), 0);
    assert_int_equal(world->effects[PEN_OUT_RELEASE], 1);
    assert_int_equal(pen_session_state(world->session, 7), PEN_ATTEMPT_NONE);
}

/* An inventory is asked for again and again when it is empty: one answer a heartbeat. */
static void test_inventory_is_sent_once(void **state)
{
    struct world *world = *state;
    struct pen_session_input timer = {.kind = PEN_IN_TIMER};
    world->now_ms += PEN_HEARTBEAT_DEFAULT_MS;
    assert_int_equal(step(world, &timer), 0);
    Pen__HeartbeatAck body = PEN__HEARTBEAT_ACK__INIT;
    body.has_number = body.has_want_inventory = body.want_inventory = true;
    body.number = world->sent[0]->heartbeat->number;
    assert_int_equal(frame(world, PEN__TO_AGENT__BODY_HEARTBEAT_ACK, &body), 0);
    assert_int_equal(world->sent_count, 1);
    body.number = world->sent[0]->heartbeat->number;
    assert_int_equal(frame(world, PEN__TO_AGENT__BODY_HEARTBEAT_ACK, &body), 0);
    assert_int_equal(world->sent_count, 0);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_report_in_every_state),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_start_again),
        cmocka_unit_test(test_revoke_in_every_state),
        ROW(test_start_is_durable_first),
        ROW(test_refused_starts),
        ROW(test_offers),
        ROW(test_cancel_before_it_began),
        ROW(test_unkillable_drains),
        ROW(test_stale_session),
        ROW(test_superseded),
        ROW(test_superseded_by_itself),
        ROW(test_superseded_by_itself_in_many_words),
        ROW(test_welcome_ends_a_drain),
        ROW(test_reconnect_resends),
        ROW(test_fold_at_every_record),
        ROW(test_reboot),
        ROW(test_release_forgets),
        ROW(test_release_while_running),
        ROW(test_inventory_is_sent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
