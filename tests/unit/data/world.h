/* tests/unit/data/world.h - both planes on real files and loopback; the core is an inbox */
#ifndef PEN_TESTS_UNIT_DATA_WORLD_H
#define PEN_TESTS_UNIT_DATA_WORLD_H

#include "tests/unit/dispatch/dealer.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/blob/archive.h"
#include "common/blob/blob.h"
#include "common/io/file.h"
#include "common/io/random.h"
#include "controller/artifacts/layout.h"
#include "controller/data/data.h"
#include "controller/dispatch/dispatch.h"

struct world {
    char dir[64];
    struct pen_curve_pair server;
    struct pen_curve_pair agent;
    struct pen_curve_pair other;
    struct pen_inbox *core;
    struct pen_inbox *http;
    struct pen_dispatch *dispatch;
    struct pen_data *data;
};

static inline void start(struct world *self)
{
    struct pen_error err;
    const struct pen_dispatch_options dispatch = {
        .address = "127.0.0.1:0", .server_keys = &self->server, .core = self->core};
    if (pen_dispatch_start(&dispatch, &self->dispatch, &err) < 0)
        fail_msg("%s", err.message);
    const struct pen_data_options data = {.dir = self->dir,
                                          .address = "127.0.0.1:0",
                                          .server_keys = &self->server,
                                          .dispatch = self->dispatch,
                                          .core = self->core,
                                          .http = self->http};
    if (pen_data_start(&data, &self->data, &err) < 0)
        fail_msg("%s", err.message);
    struct pen_inbox *const inboxes[] = {pen_data_inbox(self->data),
                                         pen_dispatch_inbox(self->dispatch)};
    for (size_t i = 0; i < 2; i++) { /* ZAP asks the second: who passes it is known to the first */
        core_allow(inboxes[i], &self->agent, "a", false);
        core_allow(inboxes[i], &self->other, "b", false);
    }
}

static inline void stop(struct world *self)
{
    pen_data_stop(&self->data);
    pen_dispatch_stop(&self->dispatch);
}

static inline int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    (void)snprintf(self->dir, sizeof self->dir, "/tmp/penstock-test-data-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    assert_int_equal(pen_curve_pair_make(&self->server, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->agent, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->other, NULL), 0);
    assert_int_equal(pen_inbox_create(1024, &self->core, NULL), 0);
    assert_int_equal(pen_inbox_create(1024, &self->http, NULL), 0);
    *state = self;
    return 0;
}

static inline int set_up_and_start(void **state)
{
    int rc = set_up(state);
    start(*state);
    return rc;
}

static inline int tear_down(void **state)
{
    struct world *self = *state;
    stop(self);
    pen_inbox_destroy(&self->core);
    pen_inbox_destroy(&self->http);
    assert_int_equal(pen_dir_remove_tree(self->dir, NULL), 0);
    free(self);
    return 0;
}

static inline void join(struct world *self, struct dealer *dealer,
                        const struct pen_curve_pair *keys)
{
    dealer_open(dealer, pen_data_endpoint(self->data), self->server.public_key, keys, NULL);
}

/* ---- effects */

struct opening {
    uint64_t fence;
    const char *agent;
    const char *output;          /* NULL: none */
    Pen__ArtifactRef *input;     /* NULL: none */
    uint64_t log_bytes_max;      /* 0: not said */
    const uint64_t *wanted_size; /* NULL: not said */
};

static inline void open_attempt(struct world *self, struct opening with)
{
    char agent[16], output[16];
    char *outputs[] = {output};
    Pen__AttemptOpen open = PEN__ATTEMPT_OPEN__INIT;
    open.has_fence = true;
    open.fence = with.fence;
    (void)snprintf(agent, sizeof agent, "%s", with.agent);
    open.agent_id = agent;
    open.n_outputs = with.output != NULL;
    if (with.output != NULL)
        (void)snprintf(output, sizeof output, "%s", with.output);
    open.outputs = outputs;
    open.n_inputs = with.input != NULL;
    open.inputs = &with.input;
    open.has_log_bytes_max = with.log_bytes_max > 0;
    open.log_bytes_max = with.log_bytes_max;
    open.has_wanted_log_size = with.wanted_size != NULL;
    open.wanted_log_size = with.wanted_size != NULL ? *with.wanted_size : 0;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_ATTEMPT_OPEN;
    effect.attempt_open = &open;
    core_post(pen_data_inbox(self->data), &effect);
}

static inline void close_attempt(struct world *self, uint64_t fence)
{
    Pen__AttemptClose close_it = PEN__ATTEMPT_CLOSE__INIT;
    close_it.has_fence = true;
    close_it.fence = fence;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_ATTEMPT_CLOSE;
    effect.attempt_close = &close_it;
    core_post(pen_data_inbox(self->data), &effect);
}

/* ---- messages */

static inline void send_log(struct dealer *dealer, uint64_t fence, uint64_t offset, void *bytes,
                            size_t size)
{
    Pen__LogData log = PEN__LOG_DATA__INIT;
    log.has_fence = log.has_offset = log.has_bytes = true;
    log.fence = fence;
    log.offset = offset;
    log.bytes = (ProtobufCBinaryData){.len = size, .data = bytes};
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_LOG;
    message.log = &log;
    dealer_send(dealer, &message);
}

static inline void send_text(struct dealer *dealer, uint64_t fence, uint64_t offset,
                             const char *text)
{
    char copy[256];
    assert_true(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    send_log(dealer, fence, offset, copy, strlen(text));
}

static inline Pen__DataToAgent *expect(struct dealer *dealer, Pen__DataToAgent__BodyCase body)
{
    Pen__DataToAgent *answer = dealer_take(dealer, &pen__data_to_agent__descriptor, PATIENCE_MS);
    assert_non_null(answer);
    if (answer->body_case == PEN__DATA_TO_AGENT__BODY_REFUSED && body != answer->body_case)
        fail_msg("refused: %s", answer->refused->message);
    assert_int_equal(answer->body_case, body);
    return answer;
}

static inline void expect_log_ack(struct dealer *dealer, uint64_t fence, uint64_t offset)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_LOG_ACK);
    assert_int_equal(answer->log_ack->fence, fence);
    assert_int_equal(answer->log_ack->offset, offset);
    assert_int_equal(answer->log_ack->credit_bytes, PEN_LIMIT_LOG_CREDIT_BYTES);
    pen_message_destroy(&answer);
}

static inline void expect_refused(struct dealer *dealer, Pen__RefusedCode code, uint64_t fence)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_REFUSED);
    assert_int_equal(answer->refused->code, code);
    assert_int_equal(answer->refused->fence, fence);
    assert_true(strlen(answer->refused->message) > 0);
    pen_message_destroy(&answer);
}

static inline void expect_log_file(struct world *self, uint64_t fence, const char *text)
{
    struct pen_buf path = {0};
    struct pen_buf bytes = {0};
    pen_layout_log(self->dir, fence, &path);
    assert_int_equal(pen_file_read(pen_buf_text(&path), 65536, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
    pen_buf_release(&bytes);
    pen_buf_release(&path);
}

static inline void expect_stored(struct world *self, uint64_t fence, uint64_t size)
{
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_LOG_STORED);
    assert_int_equal(input->log_stored->fence, fence);
    assert_int_equal(input->log_stored->size, size);
    pen_message_destroy(&input);
}

static inline void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pen_file_replace(path, bytes, size, 0644, NULL), 0);
}

#endif
