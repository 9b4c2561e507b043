/* The real penstock-agent against a small controller: enrolment, one attempt, kill -9 and adoption,
 * cancel, revoke, artifacts there and back, --once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "agent/actions/command.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/blob/blob.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/io/proc.h"
#include "common/keys/curve.h"
#include "common/keys/digest.h"
#include "common/wire/wire.h"
#include "tests/unit/agent/guard.h"

enum { PATIENCE_MS = 60 * 1000, IDENTITY_MAX = 256 };

struct peer {
    void *socket;
    uint16_t port;
    uint8_t identity[IDENTITY_MAX];
    size_t identity_size;
};

struct world {
    int guard;
    char dir[64];
    char data[96];
    char runtime[64]; /* on a tmpfs, as run files want it */
    void *context;
    struct peer control, bulk;
    struct pen_curve_pair keys;
    struct pen_buf token;
    struct pen_blob_store *store;
    pid_t pid;
    int pidfd;
    uint64_t session_no;
    uint64_t last_seq; /* of fence 7 and the like: one attempt at a time */
    uint64_t known_fence;
    struct pen_buf log;
    uint64_t wanted_log_size;
    uint64_t stored; /* artifacts committed */
    Pen__ArtifactRef *artifact;
    Pen__FromAgent *message; /* the last one */
};

/* ---- the controller's sockets */

static void peer_open(struct world *world, struct peer *peer)
{
    int yes = 1;
    int linger = 0;
    peer->socket = zmq_socket(world->context, ZMQ_ROUTER);
    assert_non_null(peer->socket);
    zmq_setsockopt(peer->socket, ZMQ_CURVE_SERVER, &yes, sizeof yes);
    zmq_setsockopt(peer->socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(peer->socket, ZMQ_CURVE_SECRETKEY, world->keys.secret_key, PEN_CURVE_KEY_SIZE);
    assert_int_equal(zmq_bind(peer->socket, "tcp://127.0.0.1:*"), 0);
    char endpoint[128];
    size_t size = sizeof endpoint;
    assert_int_equal(zmq_getsockopt(peer->socket, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    peer->port = (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

static void peer_send(struct peer *peer, const void *message)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_wire_pack(message, &bytes, NULL), 0);
    zmq_send(peer->socket, peer->identity, peer->identity_size, ZMQ_SNDMORE);
    zmq_send(peer->socket, bytes.data, bytes.size, 0);
}

static ProtobufCMessage *peer_receive(struct peer *peer, const ProtobufCMessageDescriptor *type)
{
    int size = zmq_recv(peer->socket, peer->identity, sizeof peer->identity, ZMQ_DONTWAIT);
    if (size < 0)
        return NULL;
    peer->identity_size = (size_t)size;
    static uint8_t bytes[2 * 1024 * 1024];
    size = zmq_recv(peer->socket, bytes, sizeof bytes, 0);
    assert_in_range(size, 0, sizeof bytes);
    ProtobufCMessage *message = NULL;
    struct pen_error err = {0};
    if (pen_wire_unpack(type, bytes, (size_t)size, &pen_wire_bulk, &message, &err) < 0)
        fail_msg("%s", err.message);
    return message;
}

static void send_control(struct world *world, Pen__ToAgent__BodyCase kind, void *body)
{
    Pen__ToAgent message = PEN__TO_AGENT__INIT;
    message.has_session_no = true;
    message.session_no = world->session_no;
    message.body_case = kind;
    message.welcome = body; /* one union of pointers */
    peer_send(&world->control, &message);
}

/* ---- the data plane: takes everything, serves what it has */

static void answer(struct world *world, Pen__DataToAgent__BodyCase kind, void *body)
{
    Pen__DataToAgent message = PEN__DATA_TO_AGENT__INIT;
    message.body_case = kind;
    message.log_ack = body;
    peer_send(&world->bulk, &message);
}

static void on_log(struct world *world, const Pen__LogData *log)
{
    if (log->offset == world->log.size)
        pen_buf_append(&world->log, log->bytes.data, log->bytes.len);
    Pen__LogAck ack = PEN__LOG_ACK__INIT;
    ack.has_fence = ack.has_offset = true;
    ack.fence = log->fence;
    ack.offset = world->log.size;
    answer(world, PEN__DATA_TO_AGENT__BODY_LOG_ACK, &ack);
}

static void on_query(struct world *world, const Pen__BlobQuery *query)
{
    Pen__BlobNeed need = PEN__BLOB_NEED__INIT;
    need.has_query = true;
    need.query = query->query;
    need.index = calloc(query->n_sha256 + 1, sizeof *need.index);
    for (size_t i = 0; i < query->n_sha256; i++)
        if (!pen_blob_has(world->store, query->sha256[i].data))
            need.index[need.n_index++] = (uint32_t)i;
    answer(world, PEN__DATA_TO_AGENT__BODY_BLOB_NEED, &need);
    free(need.index);
}

static void on_blob(struct world *world, const Pen__BlobData *blob)
{
    assert_true(blob->last); /* small ones only in this test */
    assert_int_equal(pen_blob_put_compressed(world->store, blob->sha256.data, blob->bytes.data,
                                             blob->bytes.len, PEN_MANIFEST_MAX, NULL),
                     0);
    Pen__BlobAck ack = PEN__BLOB_ACK__INIT;
    ack.has_sha256 = true;
    ack.sha256 = blob->sha256;
    answer(world, PEN__DATA_TO_AGENT__BODY_BLOB_ACK, &ack);
}

static void on_commit(struct world *world, const Pen__ArtifactCommit *commit)
{
    assert_int_equal(pen_blob_store_sync(world->store, NULL), 0);
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    assert_int_equal(
        pen_manifest_get(world->store, commit->artifact->manifest_sha256.data, &manifest, NULL), 0);
    ProtobufCMessage *copy = NULL;
    assert_int_equal(pen_wire_copy(commit->artifact, &copy, NULL), 0);
    pen_message_destroy(&world->artifact);
    world->artifact = (Pen__ArtifactRef *)copy;
    world->stored++;
    Pen__ArtifactStored stored = PEN__ARTIFACT_STORED__INIT;
    stored.has_fence = true;
    stored.fence = commit->fence;
    stored.name = commit->artifact->name;
    answer(world, PEN__DATA_TO_AGENT__BODY_ARTIFACT_STORED, &stored);
}

static void on_get(struct world *world, const Pen__BlobGet *get)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_blob_get_compressed(world->store, get->sha256.data, &bytes, NULL), 0);
    /* In two pieces, as large ones come. */
    size_t half = bytes.size / 2;
    for (int piece = 0; piece < 2; piece++) {
        Pen__BlobData data = PEN__BLOB_DATA__INIT;
        data.has_fence = data.has_sha256 = data.has_offset = data.has_bytes = data.has_last = true;
        data.fence = get->fence;
        data.sha256 = get->sha256;
        data.offset = piece == 0 ? 0 : half;
        data.bytes.data = bytes.data + data.offset;
        data.bytes.len = piece == 0 ? half : bytes.size - half;
        data.last = piece == 1;
        answer(world, PEN__DATA_TO_AGENT__BODY_BLOB_DATA, &data);
    }
}

static void serve_bulk(struct world *world)
{
    for (;;) {
        PEN_CLEANUP(pen_message_destroy)
        Pen__DataFromAgent *message =
            (Pen__DataFromAgent *)peer_receive(&world->bulk, &pen__data_from_agent__descriptor);
        if (message == NULL)
            return;
        if (message->body_case == PEN__DATA_FROM_AGENT__BODY_LOG)
            on_log(world, message->log);
        else if (message->body_case == PEN__DATA_FROM_AGENT__BODY_BLOB_QUERY)
            on_query(world, message->blob_query);
        else if (message->body_case == PEN__DATA_FROM_AGENT__BODY_BLOB_DATA)
            on_blob(world, message->blob_data);
        else if (message->body_case == PEN__DATA_FROM_AGENT__BODY_ARTIFACT_COMMIT)
            on_commit(world, message->artifact_commit);
        else if (message->body_case == PEN__DATA_FROM_AGENT__BODY_BLOB_GET)
            on_get(world, message->blob_get);
    }
}

/* ---- the control plane */

static void welcome(struct world *world)
{
    world->session_no++;
    Pen__Welcome body = PEN__WELCOME__INIT;
    Pen__KnownAttempt known = PEN__KNOWN_ATTEMPT__INIT;
    Pen__KnownAttempt *list[] = {&known};
    body.has_session_no = body.has_heartbeat_ms = body.has_bulk_port = true;
    body.session_no = world->session_no;
    body.heartbeat_ms = 1000;
    body.bulk_port = world->bulk.port;
    body.agent_id = "agent-1";
    known.has_fence = known.has_last_seq = true;
    known.fence = world->known_fence;
    known.last_seq = world->last_seq;
    body.known = list;
    body.n_known = world->known_fence != 0 ? 1 : 0;
    send_control(world, PEN__TO_AGENT__BODY_WELCOME, &body);
}

static void take_control(struct world *world, Pen__FromAgent *message)
{
    if (message->body_case == PEN__FROM_AGENT__BODY_HELLO) {
        welcome(world);
    } else if (message->body_case == PEN__FROM_AGENT__BODY_ENROLL) {
        Pen__Enrolled enrolled = PEN__ENROLLED__INIT;
        enrolled.agent_id = "agent-1";
        send_control(world, PEN__TO_AGENT__BODY_ENROLLED, &enrolled);
    } else if (message->body_case == PEN__FROM_AGENT__BODY_HEARTBEAT) {
        Pen__HeartbeatAck ack = PEN__HEARTBEAT_ACK__INIT;
        ack.has_number = true;
        ack.number = message->heartbeat->number;
        send_control(world, PEN__TO_AGENT__BODY_HEARTBEAT_ACK, &ack);
    } else if (message->body_case == PEN__FROM_AGENT__BODY_EVENT) {
        Pen__EventAck ack = PEN__EVENT_ACK__INIT;
        if (message->event->seq == world->last_seq + 1)
            world->last_seq++;
        ack.has_fence = ack.has_seq = true;
        ack.fence = message->event->fence;
        ack.seq = world->last_seq;
        send_control(world, PEN__TO_AGENT__BODY_EVENT_ACK, &ack);
    }
}

typedef bool (*wanted_f)(const struct world *world);

/* Serve both planes until this is true; message is the last one of the control plane, or NULL. */
static void serve_until(struct world *world, wanted_f wanted)
{
    int64_t until = pen_clock_monotonic_ms() + PATIENCE_MS;
    pen_message_destroy(&world->message);
    while (!wanted(world)) {
        int64_t now = pen_clock_monotonic_ms();
        assert_true(now < until);
        zmq_pollitem_t items[] = {
            {.socket = world->control.socket, .events = ZMQ_POLLIN},
            {.socket = world->bulk.socket, .events = ZMQ_POLLIN},
            {.fd = world->pidfd, .events = ZMQ_POLLIN},
        };
        zmq_poll(items, world->pidfd >= 0 ? 3 : 2, until - now);
        serve_bulk(world);
        pen_message_destroy(&world->message);
        world->message =
            (Pen__FromAgent *)peer_receive(&world->control, &pen__from_agent__descriptor);
        if (world->message != NULL)
            take_control(world, world->message);
    }
}

static bool is_hello(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_HELLO;
}

static bool is_enroll(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_ENROLL;
}

static bool is_accept(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_ACCEPT;
}

static bool is_revoked(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_REVOKED;
}

static bool is_started(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_EVENT &&
           world->message->event->what_case == PEN__EVENT__WHAT_STARTED;
}

static bool is_finished(const struct world *world)
{
    return world->message != NULL && world->message->body_case == PEN__FROM_AGENT__BODY_EVENT &&
           world->message->event->what_case == PEN__EVENT__WHAT_FINISHED;
}

static bool has_log(const struct world *world)
{
    return world->log.size > 0;
}

static bool has_whole_log(const struct world *world)
{
    return world->log.size >= world->wanted_log_size;
}

static bool has_artifact(const struct world *world)
{
    return world->stored > 0;
}

static bool has_ended(const struct world *world)
{
    struct pollfd item = {.fd = world->pidfd, .events = POLLIN};
    return poll(&item, 1, 0) > 0;
}

/* ---- the agent */

static void agent_start(struct world *world, bool with_token, const char *extra)
{
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 32);
    assert_true(size > 0);
    program[size] = 0;
    (void)snprintf(strrchr(program, '/'), 32, "/penstock-agent");
    char controller[64];
    (void)snprintf(controller, sizeof controller, "127.0.0.1:%u", (unsigned)world->control.port);
    char token[256];
    (void)snprintf(token, sizeof token, "PENSTOCK_TOKEN=%s", pen_buf_text(&world->token));
    const char *argv[] = {program, "--controller", controller, "--data", world->data, "--slots",
                          "2",     extra,          NULL};
    char runtime[128];
    (void)snprintf(runtime, sizeof runtime, "XDG_RUNTIME_DIR=%s", world->runtime);
    const char *environment[] = {"PATH=/usr/bin:/bin", runtime, with_token ? token : NULL, NULL};
    struct pen_proc_spec spec = {.argv = argv,
                                 .environment = environment,
                                 .directory = world->dir,
                                 .stdin_fd = -1,
                                 .stdout_fd = -1,
                                 .stderr_fd = STDERR_FILENO};
    struct pen_error err = {0};
    if (pen_proc_spawn(&spec, &world->pid, &world->pidfd, &err) < 0)
        fail_msg("%s", err.message);
}

/* Returns the wait status. */
static int agent_end(struct world *world, int signal_number)
{
    int status = -1;
    if (signal_number != 0)
        (void)kill(world->pid, signal_number);
    serve_until(world, has_ended);
    assert_int_equal(pen_proc_wait(world->pid, world->pidfd, PATIENCE_MS, &status, NULL), 0);
    pen_fd_close(&world->pidfd);
    return status;
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->pidfd = -1;
    (void)snprintf(world->dir, sizeof world->dir, "/tmp/pen-agent-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    assert_true((world->guard = guard_start(world->dir)) >= 0);
    (void)snprintf(world->runtime, sizeof world->runtime, "/dev/shm/pen-agent-XXXXXX");
    assert_non_null(mkdtemp(world->runtime));
    (void)snprintf(world->data, sizeof world->data, "%s/agent", world->dir);
    char store[96];
    (void)snprintf(store, sizeof store, "%s/store", world->dir);
    assert_int_equal(pen_dir_make(store, 0700, NULL), 0);
    assert_int_equal(pen_blob_store_open(store, &world->store, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&world->keys, NULL), 0);
    struct pen_token token;
    memcpy(token.server_public_key, world->keys.public_key, PEN_CURVE_KEY_SIZE);
    assert_int_equal(pen_curve_pair_make(&token.pair, NULL), 0);
    pen_token_format(&token, &world->token);
    world->context = zmq_ctx_new();
    peer_open(world, &world->control);
    peer_open(world, &world->bulk);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->pidfd >= 0)
        (void)agent_end(world, SIGKILL);
    zmq_close(world->control.socket);
    zmq_close(world->bulk.socket);
    zmq_ctx_term(world->context);
    pen_blob_store_close(&world->store);
    pen_buf_release(&world->token);
    pen_buf_release(&world->log);
    pen_message_destroy(&world->message);
    pen_message_destroy(&world->artifact);
    assert_int_equal(pen_dir_remove_tree(world->dir, NULL), 0);
    assert_int_equal(pen_dir_remove_tree(world->runtime, NULL), 0);
    guard_end(&world->guard);
    free(world);
    return 0;
}

static void enrol(struct world *world, const char *extra)
{
    agent_start(world, true, extra);
    serve_until(world, is_enroll);
    assert_int_equal(world->message->enroll->public_key.len, PEN_CURVE_KEY_SIZE);
    serve_until(world, is_hello);
    assert_int_equal(world->message->hello->n_inventory, 0);
}

static Pen__Capsule *capsule_make(uint64_t fence, const char *command)
{
    Pen__Capsule *capsule = malloc(sizeof *capsule);
    assert_non_null(capsule);
    pen__capsule__init(capsule);
    capsule->has_fence = true;
    capsule->fence = fence;
    capsule->provider = strdup("Commands");
    capsule->pipeline = strdup("line");
    capsule->action_execution_id = strdup("action-1");
    assert_int_equal(pen_texts_add(&capsule->commands, &capsule->n_commands, command, NULL), 0);
    return capsule;
}

static void give(struct world *world, Pen__Capsule *capsule)
{
    world->last_seq = 0;
    world->known_fence = capsule->fence;
    pen_buf_clear(&world->log);
    Pen__Offer offer = PEN__OFFER__INIT;
    offer.has_fence = true;
    offer.fence = capsule->fence;
    send_control(world, PEN__TO_AGENT__BODY_OFFER, &offer);
    serve_until(world, is_accept);
    assert_int_equal(world->message->accept->fence, capsule->fence);
    Pen__Start start = PEN__START__INIT;
    start.has_fence = true;
    start.fence = capsule->fence;
    start.capsule = capsule;
    send_control(world, PEN__TO_AGENT__BODY_START, &start);
}

static void release(struct world *world, uint64_t fence)
{
    Pen__Release body = PEN__RELEASE__INIT;
    body.n_fences = 1;
    body.fences = &fence;
    send_control(world, PEN__TO_AGENT__BODY_RELEASE, &body);
}

/* ---- tests */

static void test_one_attempt(void **state)
{
    struct world *world = *state;
    enrol(world, NULL);
    PEN_CLEANUP(pen_message_destroy)
    Pen__Capsule *capsule =
        capsule_make(7, "echo $PENSTOCK_FENCE $PENSTOCK_IDEMPOTENCY_KEY; pwd; RESULT=fine");
    assert_int_equal(
        pen_texts_add(&capsule->output_variables, &capsule->n_output_variables, "RESULT", NULL), 0);
    give(world, capsule);
    serve_until(world, is_finished);
    const Pen__Finished *finished = world->message->event->finished;
    assert_int_equal(world->message->event->seq, 2);
    assert_int_equal(finished->kind, PEN__FINISH_KIND__EXITED);
    assert_int_equal(finished->exit_code, 0);
    assert_int_equal(finished->n_output_variables, 1);
    assert_string_equal(finished->output_variables[0]->value, "fine");
    uint64_t size = finished->log_size;
    uint8_t digest[PEN_SHA256_SIZE];
    memcpy(digest, finished->log_sha256.data, sizeof digest);
    world->wanted_log_size = size;
    serve_until(world, has_whole_log);
    assert_int_equal(world->log.size, size);
    uint8_t received[PEN_SHA256_SIZE];
    pen_sha256(world->log.data, world->log.size, received);
    assert_memory_equal(received, digest, sizeof digest);
    assert_non_null(strstr(pen_buf_text(&world->log), "7 action-1\n"));
    PEN_CLEANUP(pen_free) char *log_path = pen_strdup_printf("%s/logs/7.log", world->data);
    release(world, 7);
    while (pen_file_exists(log_path))
        (void)poll(NULL, 0, 2);
    assert_int_equal(agent_end(world, SIGTERM), 0);
    /* Started again without a token, it has forgotten what was released. */
    world->known_fence = 0;
    agent_start(world, false, NULL);
    serve_until(world, is_hello);
    assert_int_equal(world->message->hello->n_inventory, 0);
    assert_int_equal(world->message->hello->max_fence, 7);
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

static void test_agent_is_killed(void **state)
{
    struct world *world = *state;
    char go[128];
    (void)snprintf(go, sizeof go, "%s/go", world->dir);
    PEN_CLEANUP(pen_free)
    char *command =
        pen_strdup_printf("echo one; while ! [ -e %s ]; do sleep 0.01; done; echo two; exit 5", go);
    enrol(world, NULL);
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = capsule_make(7, command);
    give(world, capsule);
    serve_until(world, is_started);
    serve_until(world, has_log);
    (void)agent_end(world, SIGKILL);
    agent_start(world, false, NULL);
    serve_until(world, is_hello);
    assert_int_equal(world->message->hello->n_inventory, 1);
    assert_int_equal(world->message->hello->inventory[0]->fence, 7);
    assert_int_equal(world->message->hello->inventory[0]->phase, PEN__ATTEMPT_PHASE__PHASE_RUNNING);
    assert_int_equal(pen_file_replace_unsynced(go, "", 0, 0600, NULL), 0);
    serve_until(world, is_finished);
    assert_int_equal(world->message->event->seq, 2);
    assert_int_equal(world->message->event->finished->kind, PEN__FINISH_KIND__EXITED);
    assert_int_equal(world->message->event->finished->exit_code, 5);
    uint64_t size = world->message->event->finished->log_size;
    world->wanted_log_size = size;
    serve_until(world, has_whole_log);
    assert_string_equal(pen_buf_text(&world->log), "one\ntwo\n");
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

/* It ends while no agent is there. */
static void test_ends_without_agent(void **state)
{
    struct world *world = *state;
    enrol(world, NULL);
    PEN_CLEANUP(pen_free)
    char *command = pen_strdup_printf("while kill -0 1 && [ -e %s/on ]; do sleep 0.01; done; "
                                      "echo done; : > %s/off",
                                      world->dir, world->dir);
    PEN_CLEANUP(pen_free) char *on = pen_strdup_printf("%s/on", world->dir);
    PEN_CLEANUP(pen_free) char *off = pen_strdup_printf("%s/off", world->dir);
    assert_int_equal(pen_file_replace_unsynced(on, "", 0, 0600, NULL), 0);
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = capsule_make(7, command);
    give(world, capsule);
    serve_until(world, is_started);
    (void)agent_end(world, SIGTERM); /* a stop leaves it running, too */
    assert_int_equal(unlink(on), 0);
    while (!pen_file_exists(off))
        (void)poll(NULL, 0, 2);
    agent_start(world, false, NULL);
    serve_until(world, is_finished);
    assert_int_equal(world->message->event->finished->kind, PEN__FINISH_KIND__EXITED);
    assert_int_equal(world->message->event->finished->exit_code, 0);
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

static void test_cancel(void **state)
{
    struct world *world = *state;
    enrol(world, NULL);
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = capsule_make(7, "sleep 1000");
    give(world, capsule);
    serve_until(world, is_started);
    Pen__Cancel cancel = PEN__CANCEL__INIT;
    cancel.has_fence = cancel.has_grace_ms = true;
    cancel.fence = 7;
    cancel.grace_ms = 5000;
    cancel.reason = "stopped by bob";
    send_control(world, PEN__TO_AGENT__BODY_CANCEL, &cancel);
    serve_until(world, is_finished);
    assert_int_equal(world->message->event->finished->kind, PEN__FINISH_KIND__KILLED);
    assert_string_equal(world->message->event->finished->reason, "stopped by bob");
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

static void test_revoke(void **state)
{
    struct world *world = *state;
    enrol(world, NULL);
    Pen__Revoke revoke = PEN__REVOKE__INIT;
    revoke.has_fence = true;
    revoke.fence = 9;
    send_control(world, PEN__TO_AGENT__BODY_REVOKE, &revoke);
    serve_until(world, is_revoked);
    assert_true(world->message->revoked->never_began);
    /* For ever, also after a restart. */
    (void)agent_end(world, SIGKILL);
    agent_start(world, false, NULL);
    serve_until(world, is_hello);
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = capsule_make(9, "true");
    Pen__Start start = PEN__START__INIT;
    start.has_fence = true;
    start.fence = 9;
    start.capsule = capsule;
    send_control(world, PEN__TO_AGENT__BODY_START, &start);
    serve_until(world, is_revoked);
    assert_true(world->message->revoked->never_began);
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

static void test_artifacts(void **state)
{
    struct world *world = *state;
    enrol(world, NULL);
    PEN_CLEANUP(pen_message_destroy)
    Pen__Capsule *maker = capsule_make(
        7, "mkdir d && echo hello > d/file && head -c 300000 /dev/urandom > big && echo no > not");
    Pen__ArtifactWish *wish = malloc(sizeof *wish);
    pen__artifact_wish__init(wish);
    wish->name = strdup("Out");
    assert_int_equal(pen_texts_add(&wish->files, &wish->n_files, "d/**/*", NULL), 0);
    assert_int_equal(pen_texts_add(&wish->files, &wish->n_files, "big", NULL), 0);
    maker->outputs = malloc(sizeof *maker->outputs);
    maker->outputs[0] = wish;
    maker->n_outputs = 1;
    give(world, maker);
    serve_until(world, is_finished);
    assert_int_equal(world->message->event->finished->kind, PEN__FINISH_KIND__EXITED);
    assert_int_equal(world->message->event->finished->n_artifacts, 1);
    serve_until(world, has_artifact);
    assert_string_equal(world->artifact->name, "Out");
    release(world, 7);
    /* To another agent, which has nothing of it. */
    assert_int_equal(agent_end(world, SIGTERM), 0);
    assert_int_equal(pen_dir_remove_tree(world->data, NULL), 0);
    world->known_fence = 0;
    enrol(world, NULL);
    PEN_CLEANUP(pen_message_destroy)
    Pen__Capsule *user = capsule_make(8, "cat d/file; wc -c < big; ls; "
                                         "test -d \"$CODEBUILD_SRC_DIR_Out\" && echo second");
    user->inputs = calloc(2, sizeof *user->inputs);
    for (size_t i = 0; i < 2; i++) {
        ProtobufCMessage *copy = NULL;
        assert_int_equal(pen_wire_copy(world->artifact, &copy, NULL), 0);
        user->inputs[user->n_inputs++] = (Pen__ArtifactRef *)copy;
    }
    give(world, user);
    serve_until(world, is_finished);
    assert_int_equal(world->message->event->finished->exit_code, 0);
    uint64_t size = world->message->event->finished->log_size;
    world->wanted_log_size = size;
    serve_until(world, has_whole_log);
    assert_string_equal(pen_buf_text(&world->log), "hello\n300000\nbig\nd\nsecond\n");
    assert_int_equal(agent_end(world, SIGTERM), 0);
}

static void one_job(struct world *world, uint64_t fence, const char *command, int expected)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = capsule_make(fence, command);
    give(world, capsule);
    int status = agent_end(world, 0); /* by itself */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), expected);
}

/* Each start of the agent takes a job of its own, though the spool knows the one before. */
static void test_once(void **state)
{
    struct world *world = *state;
    enrol(world, "--once");
    one_job(world, 7, "exit 12", 1);
    agent_start(world, false, "--once");
    serve_until(world, is_hello);
    one_job(world, 8, "echo fine", 0);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_one_attempt), ROW(test_agent_is_killed), ROW(test_ends_without_agent),
        ROW(test_cancel),      ROW(test_revoke),          ROW(test_artifacts),
        ROW(test_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
