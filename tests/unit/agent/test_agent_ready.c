/* An agent says with a result whether it takes more, and takes a start that answers this. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/session/session.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"

static struct pen_session *session;
static const struct pen_session_config config = {
    .spool_id = "spool", .boot_id = "boot", .run_id = "run", .machine_id = "machine", .slots = 1};

enum saw { SAW_NO_RESULT, SAW_RESULT, SAW_READY_RESULT };

/* One step; what it said of more work, and whether it starts something. */
static enum saw step(struct pen_session_input input, bool *ret_starts)
{
    struct pen_session_out out = {0};
    enum saw saw = SAW_NO_RESULT;
    input.now_ms = 1000;
    assert_int_equal(pen_session_step(session, &input, &out, NULL), 0);
    *ret_starts = false;
    for (size_t i = 0; i < out.effects_count; i++) {
        const struct pen_session_effect *effect = &out.effects[i];
        *ret_starts = *ret_starts || (effect->kind == PEN_OUT_START && effect->after_sync);
        if (effect->kind == PEN_OUT_SEND && effect->message->has_ready)
            saw = effect->message->ready ? SAW_READY_RESULT : SAW_RESULT;
    }
    pen_session_turn_done(session, &out);
    return saw;
}

static bool frame(Pen__ToAgent__BodyCase what, void *body)
{
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.body_case = what;
    message.start = body;
    PEN_CLEANUP(pen_message_destroy) Pen__ToAgent *copy = NULL;
    assert_int_equal(pen_wire_copy(&message, (ProtobufCMessage **)&copy, NULL), 0);
    bool starts = false;
    (void)step((struct pen_session_input){.kind = PEN_IN_FRAME, .frame = copy}, &starts);
    return starts;
}

static bool start(uint64_t fence)
{
    char *command = (char *)(uintptr_t) "true";
    Pen__Capsule capsule = PEN__CAPSULE__INIT;
    capsule.has_fence = true;
    capsule.fence = fence;
    capsule.provider = (char *)(uintptr_t) "Commands";
    capsule.commands = &command;
    capsule.n_commands = 1;
    Pen__Start body = PEN__START__INIT;
    body.has_fence = true;
    body.fence = fence;
    body.capsule = &capsule;
    return frame(PEN__TO_AGENT__BODY_START, &body);
}

static enum saw finish(uint64_t fence)
{
    bool starts;
    Pen__ShimExit record = PEN__SHIM_EXIT__INIT;
    record.has_exit_code = true;
    assert_int_equal(
        step((struct pen_session_input){.kind = PEN_IN_BEGAN, .fence = fence}, &starts),
        SAW_NO_RESULT);
    return step((struct pen_session_input){.kind = PEN_IN_EXITED, .fence = fence, .exit = &record},
                &starts);
}

static void test_result_tells_of_room(void **state)
{
    (void)state;
    bool starts;
    assert_int_equal(pen_session_create(&config, &session, NULL), 0);
    (void)step((struct pen_session_input){.kind = PEN_IN_CONNECTED}, &starts);
    Pen__Welcome welcome = PEN__WELCOME__INIT;
    welcome.has_session_no = true;
    welcome.session_no = 1;
    (void)frame(PEN__TO_AGENT__BODY_WELCOME, &welcome);
    assert_true(start(7)); /* nothing was offered */
    assert_int_equal(finish(7), SAW_READY_RESULT);
    assert_true(start(8));
    (void)step((struct pen_session_input){.kind = PEN_IN_DISK_FULL, .flag = true}, &starts);
    assert_int_equal(finish(8), SAW_RESULT);
    pen_session_destroy(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_result_tells_of_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
