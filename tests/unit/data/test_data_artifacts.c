/* The data plane as agents meet it: blobs and artifacts, in and out. */
#include "tests/unit/data/side.h"

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
