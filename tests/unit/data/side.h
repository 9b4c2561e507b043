/* tests/unit/data/side.h - an artifact, and the agent that brings it */
#ifndef PEN_TESTS_UNIT_DATA_SIDE_H
#define PEN_TESTS_UNIT_DATA_SIDE_H

#include "tests/unit/data/world.h"

/* ---- artifacts */

struct agent_side {
    char folder[128];
    struct pen_blob_store *store;
    Pen__ArtifactRef artifact;
    Pen__Manifest *manifest;
};

/* A folder of one small and one large file that does not compress, packed as an agent would. */
static inline void make_artifact(struct agent_side *self, const char *dir)
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

static inline void release_artifact(struct agent_side *self)
{
    pen_blob_store_close(&self->store);
    pen_message_destroy(&self->manifest);
    free(self->artifact.name);
    free(self->artifact.manifest_sha256.data);
}

static inline void send_piece(struct dealer *dealer, uint64_t fence, ProtobufCBinaryData sha256,
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

static inline void expect_blob_ack(struct dealer *dealer, const ProtobufCBinaryData *sha256)
{
    Pen__DataToAgent *answer = expect(dealer, PEN__DATA_TO_AGENT__BODY_BLOB_ACK);
    assert_int_equal(answer->blob_ack->sha256.len, PEN_SHA256_SIZE);
    assert_memory_equal(answer->blob_ack->sha256.data, sha256->data, PEN_SHA256_SIZE);
    pen_message_destroy(&answer);
}

/* Upload one blob, in two pieces when split. */
static inline void upload(struct agent_side *self, struct dealer *dealer, uint64_t fence,
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

static inline void send_commit(struct dealer *dealer, uint64_t fence, Pen__ArtifactRef *artifact)
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

static inline void expect_arrived(struct world *self, uint64_t fence,
                                  const Pen__ArtifactRef *artifact)
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
static inline size_t query_all(struct agent_side *self, struct dealer *dealer, uint64_t fence)
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

static inline void upload_all(struct agent_side *self, struct dealer *dealer, uint64_t fence)
{
    for (size_t i = 0; i < self->manifest->n_chunks; i++)
        upload(self, dealer, fence, &self->manifest->chunks[i]->sha256, i % 2 == 1);
    upload(self, dealer, fence, &self->artifact.manifest_sha256, true);
}

static inline void send_get(struct dealer *dealer, uint64_t fence,
                            const ProtobufCBinaryData *sha256, uint64_t offset)
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
static inline void receive(struct agent_side *self, struct dealer *dealer,
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

#endif
