/* What the data plane, the blob store and replaced files have promised outlives a power cut. */
#include "tests/unit/data/side.h"

#include "common/base/cleanup.h"
#include "tests/unit/disk.h"

static char after[128]; /* the tree after the cut */

static int watch(void **state)
{
    int rc = set_up(state);
    struct world *self = *state;
    (void)snprintf(after, sizeof after, "%s.after", self->dir);
    disk_watch(self->dir);
    start(self);
    return rc;
}

static int end(void **state)
{
    int rc = tear_down(state);
    disk_forget();
    assert_int_equal(pen_dir_remove_tree(after, NULL), 0);
    return rc;
}

static void cut(void)
{
    assert_int_equal(pen_dir_remove_tree(after, NULL), 0);
    disk_cut(after);
}

static void assert_log(uint64_t fence, const char *text)
{
    struct pen_buf path = {0};
    struct pen_buf bytes = {0};
    pen_layout_log(after, fence, &path);
    assert_int_equal(pen_file_read(pen_buf_text(&path), 65536, &bytes, NULL), 0);
    assert_true(bytes.size >= strlen(text)); /* what was not acknowledged may be there, too */
    assert_memory_equal(bytes.data, text, strlen(text));
    pen_buf_release(&bytes);
    pen_buf_release(&path);
}

/* An acknowledged byte of log is on disk: in the first file of its folder, and in later ones. */
static void test_acknowledged_logs(void **state)
{
    struct world *self = *state;
    struct dealer dealer;
    open_attempt(self, (struct opening){.fence = 1001, .agent = "a"});
    open_attempt(self, (struct opening){.fence = 1002, .agent = "a"});
    join(self, &dealer, &self->agent);
    send_text(&dealer, 1001, 0, "first ");
    expect_log_ack(&dealer, 1001, 6);
    cut();
    assert_log(1001, "first ");
    send_text(&dealer, 1001, 6, "second");
    expect_log_ack(&dealer, 1001, 12);
    cut();
    assert_log(1001, "first second");
    send_text(&dealer, 1002, 0, "another");
    expect_log_ack(&dealer, 1002, 7);
    cut();
    assert_log(1002, "another");
    const uint64_t wanted = 14; /* the core is told: stored */
    open_attempt(self, (struct opening){.fence = 1002, .agent = "a", .wanted_size = &wanted});
    send_text(&dealer, 1002, 7, " thing.");
    expect_stored(self, 1002, 14);
    cut();
    assert_log(1002, "another thing.");
    dealer_close(&dealer);
}

static void assert_whole(const Pen__ArtifactRef *artifact)
{
    char blobs[160];
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    struct pen_error err = {0};
    (void)snprintf(blobs, sizeof blobs, "%s/blobs", after);
    assert_int_equal(pen_blob_store_open_readonly(blobs, &store, NULL), 0);
    if (pen_manifest_get(store, artifact->manifest_sha256.data, &manifest, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < manifest->n_chunks; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
        if (pen_blob_get(store, manifest->chunks[i]->sha256.data, PEN_CHUNK_MAX, &bytes, &err) < 0)
            fail_msg("chunk %zu: %s", i, err.message);
    }
}

/* An artifact that the core hears of is on disk: every chunk, and the manifest. */
static void test_reported_artifacts(void **state)
{
    struct world *self = *state;
    struct agent_side side;
    struct dealer dealer;
    make_artifact(&side, self->dir);
    open_attempt(self, (struct opening){.fence = 3, .agent = "a", .output = "Out"});
    join(self, &dealer, &self->agent);
    upload_all(&side, &dealer, 3);
    send_commit(&dealer, 3, &side.artifact);
    expect_arrived(self, 3, &side.artifact);
    cut();
    assert_whole(&side.artifact);
    dealer_close(&dealer);
    release_artifact(&side);
}

/* A store's sync, of few blobs and of many, which are synced otherwise. */
static void test_synced_blobs(void **state)
{
    struct world *self = *state;
    enum { MANY = 100 };
    char blobs[160];
    PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *store = NULL;
    (void)snprintf(blobs, sizeof blobs, "%s/blobs", self->dir);
    assert_int_equal(pen_blob_store_open(blobs, &store, NULL), 0);
    (void)snprintf(blobs, sizeof blobs, "%s/blobs", after);
    for (uint32_t count = 1; count <= MANY; count = count == 1 ? 3 : count == 3 ? MANY : MANY + 1) {
        uint8_t names[MANY][PEN_SHA256_SIZE];
        for (uint32_t i = 0; i < count; i++) {
            uint32_t bytes[] = {count, i};
            assert_int_equal(pen_blob_put(store, bytes, sizeof bytes, names[i], NULL), 0);
        }
        cut(); /* before the sync nothing is promised, and nothing half is visible */
        PEN_CLEANUP(pen_blob_store_close) struct pen_blob_store *found = NULL;
        assert_int_equal(pen_blob_store_open_readonly(blobs, &found, NULL), 0);
        for (uint32_t i = 0; i < count; i++)
            assert_false(pen_blob_has(found, names[i]));
        pen_blob_store_close(&found);
        assert_int_equal(pen_blob_store_sync(store, NULL), 0);
        cut();
        assert_int_equal(pen_blob_store_open_readonly(blobs, &found, NULL), 0);
        for (uint32_t i = 0; i < count; i++) {
            PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
            assert_int_equal(pen_blob_get(found, names[i], 64, &bytes, NULL), 0);
        }
    }
}

/* A replaced file is the old one or the new one, and the new one when the call is back. */
static void test_replaced_files(void **state)
{
    struct world *self = *state;
    char path[160];
    char kept[160];
    static const char *const texts[] = {"one", "another, longer one", ""};
    (void)snprintf(path, sizeof path, "%s/file", self->dir);
    (void)snprintf(kept, sizeof kept, "%s/file", after);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
        assert_int_equal(pen_file_replace(path, texts[i], strlen(texts[i]), 0600, NULL), 0);
        cut();
        assert_int_equal(pen_file_read(kept, 100, &bytes, NULL), 0);
        assert_string_equal(pen_buf_text(&bytes), texts[i]);
    }
    /* the disk of this test does lose what is not synced */
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_file_replace_unsynced(path, "lost", 4, 0600, NULL), 0);
    cut();
    assert_int_equal(pen_file_read(kept, 100, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, watch, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_acknowledged_logs),
        TEST(test_reported_artifacts),
        TEST(test_synced_blobs),
        TEST(test_replaced_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
