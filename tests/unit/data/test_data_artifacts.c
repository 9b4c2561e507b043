/* The data plane as agents meet it: blobs and artifacts, in and out. */
#include "tests/unit/data/world.h"

/* ---- artifacts */

struct agent_side {
    char folder[128];
    struct pen_blob_store *store;
    Pen__ArtifactRef artifact;
    Pen__Manifest *manifest;
};

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
    assert_int_equal(pen_archive_pack(self->store, tree, NULL, 0, NULL, &self->artifact, NULL), 0);
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
        send_get(&dealer, 4, &side.manifest->chunks[i]->sha256, i == 1 ? 100 : 0);
    receive(&side, &dealer, &side.artifact.manifest_sha256, manifest_size, 0);
    for (size_t i = 0; i < side.manifest->n_chunks; i++)
        receive(&side, &dealer, &side.manifest->chunks[i]->sha256, side.manifest->chunks[i]->size,
                i == 1 ? 100 : 0);
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
    const ProtobufCBinaryData *chunk = &side.manifest->chunks[1]->sha256;
    const ProtobufCBinaryData *second = &side.manifest->chunks[2]->sha256;
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
    upload(&side, &dealer, 3, &side.manifest->chunks[0]->sha256, false);
    upload(&side, &dealer, 3, chunk, false);
    send_commit(&dealer, 3, &side.artifact); /* no chunks but the first two */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_artifact_round_trip, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_uploads_are_refused, set_up_and_start, tear_down),
        cmocka_unit_test_setup_teardown(test_only_inputs_are_readable, set_up_and_start, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
