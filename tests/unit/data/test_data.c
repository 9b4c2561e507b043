/* The data plane as agents meet it: CURVE over loopback, real files, the core is an inbox. */
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

static void start(struct world *self)
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

static void stop(struct world *self)
{
    pen_data_stop(&self->data);
    pen_dispatch_stop(&self->dispatch);
}

static int set_up(void **state)
{
    struct world *self = calloc(1, sizeof *self);
    strcpy(self->dir, "/tmp/penstock-test-data-XXXXXX");
    assert_non_null(mkdtemp(self->dir));
    assert_int_equal(pen_curve_pair_make(&self->server, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->agent, NULL), 0);
    assert_int_equal(pen_curve_pair_make(&self->other, NULL), 0);
    assert_int_equal(pen_inbox_create(1024, &self->core, NULL), 0);
    assert_int_equal(pen_inbox_create(1024, &self->http, NULL), 0);
    *state = self;
    return 0;
}

static int set_up_and_start(void **state)
{
    int rc = set_up(state);
    start(*state);
    return rc;
}

static int tear_down(void **state)
{
    struct world *self = *state;
    stop(self);
    pen_inbox_destroy(&self->core);
    pen_inbox_destroy(&self->http);
    assert_int_equal(pen_dir_remove_tree(self->dir, NULL), 0);
    free(self);
    return 0;
}

static void join(struct world *self, struct dealer *dealer, const struct pen_curve_pair *keys)
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

static void open_attempt(struct world *self, struct opening with)
{
    char agent[16], output[16];
    char *outputs[] = {output};
    Pen__AttemptOpen open = PEN__ATTEMPT_OPEN__INIT;
    open.has_fence = true;
    open.fence = with.fence;
    open.agent_id = strcpy(agent, with.agent);
    open.n_outputs = with.output != NULL;
    if (with.output != NULL)
        strcpy(output, with.output);
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

static void close_attempt(struct world *self, uint64_t fence)
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

static void send_log(struct dealer *dealer, uint64_t fence, uint64_t offset, void *bytes,
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

static void send_text(struct dealer *dealer, uint64_t fence, uint64_t offset, const char *text)
{
    char copy[256];
    send_log(dealer, fence, offset, strcpy(copy, text), strlen(text));
}

static Pen__DataToAgent *expect(struct dealer *dealer, Pen__DataToAgent__BodyCase body)
{
    Pen__DataToAgent *answer = dealer_take(dealer, &pen__data_to_agent__descriptor, PATIENCE_MS);
    assert_non_null(answer);
    if (answer->body_case == PEN__DATA_TO_AGENT__BODY_REFUSED && body != answer->body_case)
        fail_msg("refused: %s", answer->refused->message);
    assert_int_equal(answer->body_case, body);
    return answer;
}

static void expect_log_ack(struct dealer *dealer, uint64_t fence, uint64_t offset)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_LOG_ACK);
    assert_int_equal(answer->log_ack->fence, fence);
    assert_int_equal(answer->log_ack->offset, offset);
    assert_int_equal(answer->log_ack->credit_bytes, PEN_LIMIT_LOG_CREDIT_BYTES);
    pen_message_destroy(&answer);
}

static void expect_refused(struct dealer *dealer, Pen__RefusedCode code, uint64_t fence)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_REFUSED);
    assert_int_equal(answer->refused->code, code);
    assert_int_equal(answer->refused->fence, fence);
    assert_true(strlen(answer->refused->message) > 0);
    pen_message_destroy(&answer);
}

static void expect_log_file(struct world *self, uint64_t fence, const char *text)
{
    struct pen_buf path = {0};
    struct pen_buf bytes = {0};
    pen_layout_log(self->dir, fence, &path);
    assert_int_equal(pen_file_read(pen_buf_text(&path), 65536, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
    pen_buf_release(&bytes);
    pen_buf_release(&path);
}

static void expect_stored(struct world *self, uint64_t fence, uint64_t size)
{
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_LOG_STORED);
    assert_int_equal(input->log_stored->fence, fence);
    assert_int_equal(input->log_stored->size, size);
    pen_message_destroy(&input);
}

/* ---- logs */

static void test_log_offsets(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    open_attempt(self, (struct opening){.fence = 1001, .agent = "a"});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 1001, 0, "hello ");
    expect_log_ack(&dealer, 1001, 6);
    send_text(&dealer, 1001, 6, "world\n");
    expect_log_ack(&dealer, 1001, 12);
    send_text(&dealer, 1001, 6, "twice"); /* seen already: acknowledged, not written */
    expect_log_ack(&dealer, 1001, 12);
    send_text(&dealer, 1001, 20, "gap");
    Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_LOG_RESEND);
    assert_int_equal(answer->log_resend->fence, 1001);
    assert_int_equal(answer->log_resend->offset, 12);
    pen_message_destroy(&answer);
    send_text(&dealer, 1001, UINT64_MAX - 1, "x");
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1001);
    send_text(&dealer, 1001, INT64_MAX, "x");
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1001);
    expect_log_file(self, 1001, "hello world\n");

    struct pen_post post;
    assert_int_equal(pen_inbox_take(self->http, &post, 1), 1);
    assert_int_equal(post.kind, PEN_POST_LOG_GREW);
    assert_int_equal(post.number, 1001);
    dealer_close(&dealer);
}

static void test_log_of_others_is_fenced(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    open_attempt(self, (struct opening){.fence = 7, .agent = "a"});
    join(self, &dealer, &self->other);
    send_text(&dealer, 7, 0, "mine"); /* another agent's */
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 7);
    send_text(&dealer, 8, 0, "mine"); /* nobody's */
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 8);
    dealer_close(&dealer);

    join(self, &dealer, &self->agent);
    send_text(&dealer, 7, 0, "good");
    expect_log_ack(&dealer, 7, 4);
    close_attempt(self, 7);
    send_text(&dealer, 7, 4, "late");
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 7);
    expect_log_file(self, 7, "good");
    dealer_close(&dealer);
}

static void test_log_limits(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const size_t piece = PEN_LIMIT_PIECE_BYTES;
    char *bytes = calloc(1, piece + 1);
    open_attempt(self, (struct opening){.fence = 1, .agent = "a", .log_bytes_max = piece});
    join(self, &dealer, &self->agent);
    send_log(&dealer, 1, 0, bytes, piece + 1);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1);
    send_log(&dealer, 1, 0, bytes, piece);
    expect_log_ack(&dealer, 1, piece);
    send_log(&dealer, 1, piece, bytes, PEN_LIMIT_LOG_CUT_NOTICE_BYTES); /* "cut here" may follow */
    expect_log_ack(&dealer, 1, piece + PEN_LIMIT_LOG_CUT_NOTICE_BYTES);
    send_log(&dealer, 1, piece + PEN_LIMIT_LOG_CUT_NOTICE_BYTES, bytes, 1);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 1);
    dealer_close(&dealer);
    free(bytes);
}

static void test_wanted_log_size_is_reported(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t none = 0, five = 5, ten = 10;
    open_attempt(self, (struct opening){.fence = 5, .agent = "a"});
    open_attempt(self, (struct opening){.fence = 6, .agent = "a", .wanted_size = &none});
    expect_stored(self, 6, 0); /* no output at all */
    join(self, &dealer, &self->agent);
    send_text(&dealer, 5, 0, "12345");
    expect_log_ack(&dealer, 5, 5);
    open_attempt(self, (struct opening){.fence = 5, .agent = "a", .wanted_size = &five});
    expect_stored(self, 5, 5); /* was there before */
    open_attempt(self, (struct opening){.fence = 5, .agent = "a", .wanted_size = &ten});
    send_text(&dealer, 5, 5, "678");
    expect_log_ack(&dealer, 5, 8);
    send_text(&dealer, 5, 8, "90");
    expect_log_ack(&dealer, 5, 10);
    expect_stored(self, 5, 10); /* and not before */
    dealer_close(&dealer);
}

static void test_log_goes_on_after_restart(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t nine = 9;
    start(self);
    open_attempt(self, (struct opening){.fence = 12, .agent = "a"});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 12, 0, "before ");
    expect_log_ack(&dealer, 12, 7);
    dealer_close(&dealer);
    stop(self);

    start(self);
    open_attempt(self, (struct opening){.fence = 12, .agent = "a", .wanted_size = &nine});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 12, 0, "before "); /* sent again, as after any reconnect */
    expect_log_ack(&dealer, 12, 7);
    send_text(&dealer, 12, 7, "ok");
    expect_log_ack(&dealer, 12, 9);
    expect_stored(self, 12, 9);
    expect_log_file(self, 12, "before ok");
    dealer_close(&dealer);
}

static void test_more_logs_than_open_files(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const uint64_t logs = PEN_LIMIT_LOG_FILES_OPEN + 20;
    join(self, &dealer, &self->agent);
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t fence = 1; fence <= logs; fence++) {
            if (round == 0)
                open_attempt(self, (struct opening){.fence = fence, .agent = "a"});
            send_text(&dealer, fence, round * 3, "abc");
        }
        for (uint64_t fence = 1; fence <= logs; fence++) {
            Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_LOG_ACK);
            assert_int_equal(answer->log_ack->offset, round * 3 + 3);
            pen_message_destroy(&answer);
        }
    }
    expect_log_file(self, 1, "abcabc");
    expect_log_file(self, logs, "abcabc");
    dealer_close(&dealer);
}

/* ---- artifacts */

struct agent_side {
    char folder[128];
    struct pen_blob_store *store;
    Pen__ArtifactRef artifact;
    Pen__Manifest *manifest;
};

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(pen_file_replace(path, bytes, size, 0644, NULL), 0);
}

/* A folder of one small and one large file that does not compress, packed as an agent would. */
static void make_artifact(struct agent_side *self, const char *dir)
{
    const size_t size = 1500 * 1000;
    char tree[160], blobs[160];
    (void)snprintf(self->folder, sizeof self->folder, "%s/agent", dir);
    (void)snprintf(tree, sizeof tree, "%s/tree", self->folder);
    (void)snprintf(blobs, sizeof blobs, "%s/blobs", self->folder);
    assert_int_equal(pen_dir_make(tree, 0755, NULL), 0);
    assert_int_equal(pen_dir_make(blobs, 0755, NULL), 0);
    void *bytes = malloc(size);
    assert_int_equal(pen_random_bytes(bytes, size, NULL), 0);
    write_file(tree, "large", bytes, size);
    write_file(tree, "small", "text\n", 5);
    free(bytes);
    assert_int_equal(pen_blob_store_open(blobs, &self->store, NULL), 0);
    self->artifact = (Pen__ArtifactRef)PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pen_archive_pack(self->store, tree, NULL, 0, &self->artifact, NULL), 0);
    self->artifact.name = strdup("Out");
    assert_int_equal(
        pen_manifest_get(self->store, self->artifact.manifest_sha256.data, &self->manifest, NULL),
        0);
    assert_true(self->manifest->n_chunks > 5);
}

static void release_artifact(struct agent_side *self)
{
    pen_blob_store_close(&self->store);
    pen_message_destroy(&self->manifest);
    free(self->artifact.name);
    free(self->artifact.manifest_sha256.data);
}

static void send_piece(struct dealer *dealer, uint64_t fence, ProtobufCBinaryData sha256,
                       uint64_t offset, ProtobufCBinaryData bytes, bool last)
{
    Pen__BlobData data = PEN__BLOB_DATA__INIT;
    data.has_fence = data.has_sha256 = data.has_offset = data.has_bytes = data.has_last = true;
    data.fence = fence;
    data.sha256 = sha256;
    data.offset = offset;
    data.bytes = bytes;
    data.last = last;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_DATA;
    message.blob_data = &data;
    dealer_send(dealer, &message);
}

static void expect_blob_ack(struct dealer *dealer, const ProtobufCBinaryData *sha256)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_BLOB_ACK);
    assert_int_equal(answer->blob_ack->sha256.len, PEN_SHA256_SIZE);
    assert_memory_equal(answer->blob_ack->sha256.data, sha256->data, PEN_SHA256_SIZE);
    pen_message_destroy(&answer);
}

/* Upload one blob, in two pieces when split. */
static void upload(struct agent_side *self, struct dealer *dealer, uint64_t fence,
                   const ProtobufCBinaryData *sha256, bool split)
{
    struct pen_buf bytes = {0};
    assert_int_equal(pen_blob_get_compressed(self->store, sha256->data, &bytes, NULL), 0);
    size_t first = split ? bytes.size / 2 : bytes.size;
    send_piece(dealer, fence, *sha256, 0, (ProtobufCBinaryData){.len = first, .data = bytes.data},
               !split);
    if (split)
        send_piece(dealer, fence, *sha256, first,
                   (ProtobufCBinaryData){.len = bytes.size - first, .data = bytes.data + first},
                   true);
    expect_blob_ack(dealer, sha256);
    pen_buf_release(&bytes);
}

static void send_commit(struct dealer *dealer, uint64_t fence, Pen__ArtifactRef *artifact)
{
    Pen__ArtifactCommit commit = PEN__ARTIFACT_COMMIT__INIT;
    commit.has_fence = true;
    commit.fence = fence;
    commit.artifact = artifact;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_ARTIFACT_COMMIT;
    message.artifact_commit = &commit;
    dealer_send(dealer, &message);
}

static void expect_arrived(struct world *self, uint64_t fence, const Pen__ArtifactRef *artifact)
{
    Pen__Input *input = core_take(self->core, PATIENCE_MS);
    assert_non_null(input);
    assert_int_equal(input->what_case, PEN__INPUT__WHAT_ARTIFACT_ARRIVED);
    assert_int_equal(input->artifact_arrived->fence, fence);
    assert_string_equal(input->artifact_arrived->artifact->name, artifact->name);
    assert_int_equal(input->artifact_arrived->artifact->size, artifact->size);
    assert_memory_equal(input->artifact_arrived->artifact->manifest_sha256.data,
                        artifact->manifest_sha256.data, PEN_SHA256_SIZE);
    pen_message_destroy(&input);
}

/* Ask which of the chunks and the manifest are lacking; returns how many. */
static size_t query_all(struct agent_side *self, struct dealer *dealer, uint64_t fence)
{
    size_t count = self->manifest->n_chunks + 1;
    ProtobufCBinaryData *digests = calloc(count, sizeof digests[0]);
    for (size_t i = 0; i + 1 < count; i++)
        digests[i] = self->manifest->chunks[i]->sha256;
    digests[count - 1] = self->artifact.manifest_sha256;
    Pen__BlobQuery query = PEN__BLOB_QUERY__INIT;
    query.has_fence = query.has_query = true;
    query.fence = fence;
    query.query = 77;
    query.n_sha256 = count;
    query.sha256 = digests;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_QUERY;
    message.blob_query = &query;
    dealer_send(dealer, &message);
    free(digests);
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_BLOB_NEED);
    assert_int_equal(answer->blob_need->query, 77);
    size_t lacking = answer->blob_need->n_index;
    pen_message_destroy(&answer);
    return lacking;
}

static void upload_all(struct agent_side *self, struct dealer *dealer, uint64_t fence)
{
    for (size_t i = 0; i < self->manifest->n_chunks; i++)
        upload(self, dealer, fence, &self->manifest->chunks[i]->sha256, i % 2 == 1);
    upload(self, dealer, fence, &self->artifact.manifest_sha256, true);
}

static void send_get(struct dealer *dealer, uint64_t fence, const ProtobufCBinaryData *sha256,
                     uint64_t offset)
{
    Pen__BlobGet get = PEN__BLOB_GET__INIT;
    get.has_fence = get.has_sha256 = get.has_offset = true;
    get.fence = fence;
    get.sha256 = *sha256;
    get.offset = offset;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_GET;
    message.blob_get = &get;
    dealer_send(dealer, &message);
}

/* Take the pieces of one blob, which was asked for from this offset. */
static void receive(struct agent_side *self, struct dealer *dealer,
                    const ProtobufCBinaryData *sha256, uint64_t plain_size, size_t offset)
{
    struct pen_buf whole = {0};
    assert_int_equal(pen_blob_get_compressed(self->store, sha256->data, &whole, NULL), 0);
    bool last = false;
    while (!last) {
        Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_BLOB_DATA);
        const Pen__BlobData *data = answer->blob_data;
        assert_memory_equal(data->sha256.data, sha256->data, PEN_SHA256_SIZE);
        assert_int_equal(data->offset, offset);
        assert_int_equal(data->plain_size, plain_size);
        assert_true(data->bytes.len <= PEN_LIMIT_PIECE_BYTES);
        assert_true(offset + data->bytes.len <= whole.size);
        assert_memory_equal(data->bytes.data, whole.data + offset, data->bytes.len);
        offset += data->bytes.len;
        last = data->last;
        pen_message_destroy(&answer);
    }
    assert_int_equal(offset, whole.size);
    pen_buf_release(&whole);
}

static void test_artifact_round_trip(void **state)
{
    struct world *self = *state;
    struct agent_side side;
    struct dealer dealer;
    make_artifact(&side, self->dir);
    open_attempt(self, (struct opening){.fence = 3, .agent = "a", .output = "Out"});
    join(self, &dealer, &self->agent);
    assert_int_equal(query_all(&side, &dealer, 3), side.manifest->n_chunks + 1);
    upload_all(&side, &dealer, 3);
    assert_int_equal(query_all(&side, &dealer, 3), 0);
    send_commit(&dealer, 3, &side.artifact);
    expect_arrived(self, 3, &side.artifact);
    send_commit(&dealer, 3, &side.artifact); /* again, as after a lost answer */
    expect_arrived(self, 3, &side.artifact);

    char a[] = "a";
    Pen__ArtifactAccepted accepted = PEN__ARTIFACT_ACCEPTED__INIT;
    accepted.has_fence = true;
    accepted.fence = 3;
    accepted.agent_id = a;
    accepted.name = side.artifact.name;
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_ARTIFACT_ACCEPTED;
    effect.artifact_accepted = &accepted;
    core_post(pen_data_inbox(self->data), &effect);
    Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_ARTIFACT_STORED);
    assert_int_equal(answer->artifact_stored->fence, 3);
    assert_string_equal(answer->artifact_stored->name, "Out");
    pen_message_destroy(&answer);
    dealer_close(&dealer);

    /* Another agent reads it as its input, all blobs asked for at once. */
    open_attempt(self, (struct opening){.fence = 4, .agent = "b", .input = &side.artifact});
    join(self, &dealer, &self->other);
    uint64_t manifest_size = pen__manifest__get_packed_size(side.manifest);
    send_get(&dealer, 4, &side.artifact.manifest_sha256, 0);
    for (size_t i = 0; i < side.manifest->n_chunks; i++)
        send_get(&dealer, 4, &side.manifest->chunks[i]->sha256, i == 0 ? 100 : 0);
    receive(&side, &dealer, &side.artifact.manifest_sha256, manifest_size, 0);
    for (size_t i = 0; i < side.manifest->n_chunks; i++)
        receive(&side, &dealer, &side.manifest->chunks[i]->sha256, side.manifest->chunks[i]->size,
                i == 0 ? 100 : 0);
    dealer_close(&dealer);
    release_artifact(&side);
}

static void test_bad_uploads_are_refused(void **state)
{
    struct world *self = *state;
    struct agent_side side;
    struct dealer dealer;
    struct pen_buf bytes = {0};
    make_artifact(&side, self->dir);
    const ProtobufCBinaryData *chunk = &side.manifest->chunks[0]->sha256;
    const ProtobufCBinaryData *second = &side.manifest->chunks[1]->sha256;
    assert_int_equal(pen_blob_get_compressed(side.store, chunk->data, &bytes, NULL), 0);
    const ProtobufCBinaryData all = {.len = bytes.size, .data = bytes.data};
    open_attempt(self, (struct opening){.fence = 3, .agent = "a", .output = "Out"});
    open_attempt(self, (struct opening){.fence = 4, .agent = "a"});
    join(self, &dealer, &self->agent);

    send_piece(&dealer, 3, *second, 0, all, true); /* bytes of another blob */
    expect_refused(&dealer, PEN__REFUSED_CODE__DIGEST, 3);
    send_piece(&dealer, 3, *chunk, 9, all, true); /* the middle of nothing */
    expect_refused(&dealer, PEN__REFUSED_CODE__DIGEST, 3);
    send_piece(&dealer, 3, (ProtobufCBinaryData){.len = 3, .data = bytes.data}, 0, all, true);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 3); /* a digest of three bytes */
    send_piece(&dealer, 9, *chunk, 0, all, true);
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 9);
    send_piece(&dealer, 4, *chunk, 0, all, true); /* an attempt that makes nothing */
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 4);

    send_commit(&dealer, 9, &side.artifact);
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 9);
    send_commit(&dealer, 4, &side.artifact); /* not declared */
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 4);
    send_commit(&dealer, 3, &side.artifact); /* no manifest */
    expect_refused(&dealer, PEN__REFUSED_CODE__DIGEST, 3);
    upload(&side, &dealer, 3, &side.artifact.manifest_sha256, false);
    upload(&side, &dealer, 3, chunk, false);
    send_commit(&dealer, 3, &side.artifact); /* no chunks but the first */
    Pen__DataToAgent *answer = expect(&dealer, PEN__DATA_TO_AGENT__BODY_REFUSED);
    assert_int_equal(answer->refused->code, PEN__REFUSED_CODE__DIGEST);
    assert_memory_equal(answer->refused->sha256.data, second->data, PEN_SHA256_SIZE);
    pen_message_destroy(&answer);
    upload_all(&side, &dealer, 3);
    side.artifact.size++;
    send_commit(&dealer, 3, &side.artifact); /* a size that is not the manifest's */
    expect_refused(&dealer, PEN__REFUSED_CODE__DIGEST, 3);
    side.artifact.size--;
    send_commit(&dealer, 3, &side.artifact);
    expect_arrived(self, 3, &side.artifact); /* and nothing of all this stood in its way */
    dealer_close(&dealer);
    pen_buf_release(&bytes);
    release_artifact(&side);
}

static void test_only_inputs_are_readable(void **state)
{
    struct world *self = *state;
    struct agent_side side;
    struct dealer dealer;
    make_artifact(&side, self->dir);
    open_attempt(self, (struct opening){.fence = 3, .agent = "a", .output = "Out"});
    open_attempt(self, (struct opening){.fence = 4, .agent = "a", .input = &side.artifact});
    open_attempt(self, (struct opening){.fence = 5, .agent = "b", .input = &side.artifact});
    join(self, &dealer, &self->agent);
    send_get(&dealer, 4, &side.artifact.manifest_sha256, 0); /* an input that is not here */
    expect_refused(&dealer, PEN__REFUSED_CODE__DIGEST, 4);
    upload_all(&side, &dealer, 3);
    send_commit(&dealer, 3, &side.artifact);
    expect_arrived(self, 3, &side.artifact);

    send_get(&dealer, 3, &side.artifact.manifest_sha256, 0); /* its output, but no input of it */
    expect_refused(&dealer, PEN__REFUSED_CODE__DENIED, 3);
    send_get(&dealer, 5, &side.artifact.manifest_sha256, 0); /* somebody else's input */
    expect_refused(&dealer, PEN__REFUSED_CODE__FENCED, 5);
    send_get(&dealer, 4, &side.manifest->chunks[0]->sha256, UINT64_MAX);
    expect_refused(&dealer, PEN__REFUSED_CODE__LIMIT, 4);
    send_get(&dealer, 4, &side.manifest->chunks[0]->sha256, 0);
    receive(&side, &dealer, &side.manifest->chunks[0]->sha256, side.manifest->chunks[0]->size, 0);
    dealer_close(&dealer);
    release_artifact(&side);
}

static void test_unknown_and_malformed_messages(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    join(self, &dealer, &self->agent);
    Pen__DataFromAgent unknown = PEN__DATA_FROM_AGENT__INIT;
    dealer_send(&dealer, &unknown);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED, 0);
    assert_return_code(zmq_send(dealer.socket, "\xff\xff", 2, 0), 0);
    expect_refused(&dealer, PEN__REFUSED_CODE__UNSUPPORTED, 0);
    dealer_close(&dealer);
}

/* libzmq notices the end of a connection only when it has room to read. */
static void read_until_disconnected(struct dealer *dealer)
{
    int event = 0;
    while (event == 0) {
        Pen__DataToAgent *answer = dealer_take(dealer, &pen__data_to_agent__descriptor, 10);
        event = dealer_event(dealer, answer == NULL ? PATIENCE_MS : 0);
        assert_true(answer != NULL || event != 0);
        pen_message_destroy(&answer);
    }
    assert_int_equal(event, ZMQ_EVENT_DISCONNECTED);
}

static void test_peer_that_does_not_read_is_cut(void **state)
{
    struct world *self = *state;
    struct dealer dealer, honest;
    const int zero = 0;
    open_attempt(self, (struct opening){.fence = 1, .agent = "b"});
    join(self, &dealer, &self->agent);
    assert_int_equal(dealer_event(&dealer, PATIENCE_MS), ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    /* Each is refused, in some words, until nothing is taken any more. */
    assert_return_code(zmq_setsockopt(dealer.socket, ZMQ_SNDTIMEO, &zero, sizeof zero), 0);
    zmq_pollitem_t item = {.socket = dealer.socket, .events = ZMQ_POLLOUT};
    int sent = 0;
    while (sent < 1000 * 1000 && zmq_poll(&item, 1, 2000) > 0)
        sent += zmq_send(dealer.socket, "", 0, 0) == 0;
    assert_true(sent < 1000 * 1000);
    read_until_disconnected(&dealer);
    dealer_close(&dealer);
    join(self, &honest, &self->other);
    send_text(&honest, 1, 0, "x");
    expect_log_ack(&honest, 1, 1);
    dealer_close(&honest);
}

/* ---- a full disk */

/* Make DIR a file system of this size of its own, where we may; else say so. */
static bool limit_disk(const char *dir, const char *size)
{
    char options[64];
    (void)snprintf(options, sizeof options, "size=%s", size);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

static void test_full_disk(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    const size_t piece = 100 * 1000;
    char path[128];
    bool own_disk = limit_disk(self->dir, "1m");
    if (!own_disk) { /* without rights: files may not grow beyond this */
        const struct rlimit limit = {.rlim_cur = 550 * 1000, .rlim_max = RLIM_INFINITY};
        assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        assert_return_code(setrlimit(RLIMIT_FSIZE, &limit), 0);
    }
    start(self);
    char *bytes = malloc(piece);
    memset(bytes, 'x', piece);
    if (own_disk)
        write_file(self->dir, "ballast", bytes, piece);
    open_attempt(self, (struct opening){.fence = 1, .agent = "a"});
    open_attempt(self, (struct opening){.fence = 2, .agent = "a"});
    join(self, &dealer, &self->agent);

    uint64_t size = 0;
    Pen__RefusedCode code = 0;
    while (code == 0 && size < 4 * 1000 * 1000) {
        send_log(&dealer, 1, size, bytes, piece);
        Pen__DataToAgent *answer =
            dealer_take(&dealer, &pen__data_to_agent__descriptor, PATIENCE_MS);
        assert_non_null(answer);
        if (answer->body_case == PEN__DATA_TO_AGENT__BODY_REFUSED)
            code = answer->refused->code;
        else
            size = answer->log_ack->offset;
        pen_message_destroy(&answer);
    }
    assert_int_equal(code, PEN__REFUSED_CODE__FULL);
    assert_true(size > 0);
    assert_int_equal(size % piece, 0);
    struct stat status;
    struct pen_buf log = {0};
    pen_layout_log(self->dir, 1, &log);
    assert_return_code(stat(pen_buf_text(&log), &status), 0);
    pen_buf_release(&log);
    assert_int_equal(status.st_size, size); /* no half piece stays */

    if (own_disk) {
        (void)snprintf(path, sizeof path, "%s/ballast", self->dir);
        assert_return_code(unlink(path), 0);
    } else {
        const struct rlimit none = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
        assert_return_code(setrlimit(RLIMIT_FSIZE, &none), 0);
    }
    send_log(&dealer, 1, size, bytes, piece); /* the attempt is still open, and goes on */
    expect_log_ack(&dealer, 1, size + piece);
    dealer_close(&dealer);
    free(bytes);
    if (own_disk) {
        stop(self);
        assert_return_code(umount(self->dir), 0);
    }
}

static void test_start_needs_dispatch(void **state)
{
    struct world *self = *state;
    struct pen_error err;
    struct pen_data *data = NULL;
    const struct pen_data_options options = {
        .dir = self->dir, .address = "127.0.0.1:0", .server_keys = &self->server};
    assert_int_equal(pen_data_start(&options, &data, &err), PEN_EINVAL);
    assert_null(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_offsets, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_log_of_others_is_fenced, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_log_limits, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_wanted_log_size_is_reported, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_log_goes_on_after_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_logs_than_open_files, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_artifact_round_trip, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_uploads_are_refused, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_only_inputs_are_readable, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_and_malformed_messages, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_peer_that_does_not_read_is_cut, set_up_and_start,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_start_needs_dispatch, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
