/* common/blob/archive.h: hostile and damaged artifacts write nothing outside. */
#include "tests/unit/blob/fixture.h"

/* ---- streams that our packer would never make */

struct hostile {
    const char *path;
    unsigned type;
    const char *target; /* of a link */
    const char *hard;   /* of a hard link */
};

static void stream_store(const struct pen_buf *stream, uint8_t ret_name[PEN_SHA256_SIZE])
{
    Pen__Manifest manifest = PEN__MANIFEST__INIT;
    Pen__ManifestChunk chunks[64];
    Pen__ManifestChunk *list[64];
    uint8_t names[64][PEN_SHA256_SIZE];
    uint8_t digest[PEN_SHA256_SIZE];
    size_t count = 0;
    for (size_t done = 0; done < stream->size; count++) {
        size_t part = stream->size - done;
        part = part < PEN_CHUNK_MAX ? part : PEN_CHUNK_MAX;
        assert_true(count < 64);
        assert_int_equal(pen_blob_put(store, stream->data + done, part, names[count], NULL), 0);
        pen__manifest_chunk__init(&chunks[count]);
        chunks[count].has_sha256 = chunks[count].has_size = 1;
        chunks[count].sha256 = (ProtobufCBinaryData){PEN_SHA256_SIZE, names[count]};
        chunks[count].size = (uint32_t)part;
        list[count] = &chunks[count];
        done += part;
    }
    pen_sha256(stream->data, stream->size, digest);
    manifest.has_format = manifest.has_size = manifest.has_sha256 = 1;
    manifest.format = 1;
    manifest.size = stream->size;
    manifest.sha256 = (ProtobufCBinaryData){sizeof digest, digest};
    manifest.n_chunks = count;
    manifest.chunks = list;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_wire_pack(&manifest, &bytes, NULL), 0);
    assert_int_equal(pen_blob_put(store, bytes.data, bytes.size, ret_name, NULL), 0);
}

static la_ssize_t stream_add(struct archive *archive, void *data, const void *bytes, size_t size)
{
    (void)archive;
    pen_buf_append(data, bytes, size);
    return (la_ssize_t)size;
}

static void stream_make(const struct hostile *entries, size_t count, struct pen_buf *ret_stream)
{
    struct archive *archive = archive_write_new();
    assert_int_equal(archive_write_set_format_pax(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open(archive, ret_stream, NULL, stream_add, NULL), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, entries[i].path);
        archive_entry_set_mode(entry, entries[i].type | 06755);
        archive_entry_set_size(entry, entries[i].type == AE_IFREG && !entries[i].hard ? 5 : 0);
        if (entries[i].target)
            archive_entry_set_symlink(entry, entries[i].target);
        if (entries[i].hard)
            archive_entry_set_hardlink(entry, entries[i].hard);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        if (entries[i].type == AE_IFREG && !entries[i].hard)
            assert_int_equal(archive_write_data(archive, "pwned", 5), 5);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_free(archive), ARCHIVE_OK);
}

/* ---- manifests of format 2 that our packer would never make */

struct raw_entry {
    int kind; /* 0: none is said */
    const char *path;
    const char *target;
    uint64_t size;
    uint32_t mode;
    uint32_t mtime_ns;
    size_t path_size; /* 0: that of the text */
};

static void entries_make(const struct raw_entry *raw, size_t count, struct pen_buf *ret_bytes)
{
    for (size_t i = 0; i < count; i++) {
        Pen__ArtifactEntry entry = PEN__ARTIFACT_ENTRY__INIT;
        entry.has_kind = raw[i].kind != 0;
        entry.kind = (Pen__EntryKind)raw[i].kind;
        entry.has_path = entry.has_size = entry.has_crc32 = true;
        entry.path.data = (uint8_t *)(uintptr_t)raw[i].path;
        entry.path.len = raw[i].path_size != 0 ? raw[i].path_size : strlen(raw[i].path);
        entry.has_target = raw[i].target != NULL;
        entry.target.data = (uint8_t *)(uintptr_t)raw[i].target;
        entry.target.len = raw[i].target != NULL ? strlen(raw[i].target) : 0;
        entry.size = raw[i].size;
        entry.crc32 = raw[i].size == 5 ? pen_crc32(0, "pwned", 5) : 0;
        entry.has_mode = entry.has_mtime_ns = entry.has_mtime_s = true;
        entry.mode = raw[i].mode;
        entry.mtime_ns = raw[i].mtime_ns;
        assert_int_equal(pen_entry_append(ret_bytes, &entry, NULL), 0);
    }
}

/* Store a manifest of these entries and these contents, each one chunk. */
static void manifest_store(const struct pen_buf *entries, const void *contents, size_t size,
                           uint64_t entries_size, uint8_t ret_name[PEN_SHA256_SIZE])
{
    Pen__Manifest manifest = PEN__MANIFEST__INIT;
    Pen__ManifestChunk chunks[2];
    Pen__ManifestChunk *list[2];
    uint8_t names[2][PEN_SHA256_SIZE];
    const void *const bytes[] = {entries->data, contents};
    const size_t sizes[] = {entries->size, size};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        if (sizes[i] == 0)
            continue;
        assert_int_equal(pen_blob_put(store, bytes[i], sizes[i], names[count], NULL), 0);
        pen__manifest_chunk__init(&chunks[count]);
        chunks[count].has_sha256 = chunks[count].has_size = true;
        chunks[count].sha256 = (ProtobufCBinaryData){PEN_SHA256_SIZE, names[count]};
        chunks[count].size = (uint32_t)sizes[i];
        list[count] = &chunks[count];
        count++;
    }
    manifest.has_format = manifest.has_size = manifest.has_entries_size = true;
    manifest.format = 2;
    manifest.size = entries->size + size;
    manifest.entries_size = entries_size;
    manifest.n_chunks = count;
    manifest.chunks = list;
    PEN_CLEANUP(pen_buf_release) struct pen_buf packed = {0};
    assert_int_equal(pen_wire_pack(&manifest, &packed, NULL), 0);
    assert_int_equal(pen_blob_put(store, packed.data, packed.size, ret_name, NULL), 0);
}

enum {
    F = PEN__ENTRY_KIND__ENTRY_FILE,
    D = PEN__ENTRY_KIND__ENTRY_FOLDER,
    L = PEN__ENTRY_KIND__ENTRY_LINK
};

static void assert_nothing_escaped(size_t number)
{
    struct stat status;
    assert_file("victim/file", "untouched", 0644);
    if (access(at("escape"), F_OK) == 0 || access(at("victim/below"), F_OK) == 0 ||
        access("/tmp/pen-test-escape", F_OK) == 0)
        fail_msg("case %zu has escaped", number);
    assert_int_equal(lstat(at("victim"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
}

static void test_hostile_entries(void **state)
{
    (void)state;
    static const struct {
        int code;
        struct raw_entry entries[3];
    } corpus[] = {
        {PEN_EDENIED, {{.kind = F, .path = "../escape", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = "/tmp/pen-test-escape", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = "a/../../escape", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = "a//b", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = "", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = "a/", .size = 5}}},
        {PEN_EDENIED, {{.kind = F, .path = ".", .size = 5}}},
        {PEN_EDENIED, {{.kind = D, .path = ".."}}},
        {PEN_EDENIED, {{.kind = F, .path = "a\0b", .size = 5, .path_size = 3}}},
        {PEN_EDENIED, {{.kind = F, .path = "a/b", .size = 5}}}, /* its folder is no entry */
        {PEN_EDENIED, {{.kind = D, .path = "a"}, {.kind = F, .path = "a/b/c", .size = 5}}},
        {PEN_EDENIED,
         {{.kind = L, .path = "link", .target = "../victim"},
          {.kind = F, .path = "link/below", .size = 5}}},
        {PEN_EDENIED,
         {{.kind = L, .path = "link", .target = "../victim"},
          {.kind = D, .path = "link"},
          {.kind = F, .path = "link/below", .size = 5}}},
        {PEN_EDENIED,
         {{.kind = L, .path = "link", .target = "../victim"},
          {.kind = D, .path = "link"},
          {.kind = D, .path = "link/below"}}},
        {PEN_EDENIED,
         {{.kind = D, .path = "link"}, {.kind = L, .path = "link", .target = "../victim"}}},
        {PEN_EDENIED, {{.kind = F, .path = "a", .size = 5}, {.kind = F, .path = "a", .size = 0}}},
        {PEN_EDENIED, {{.kind = F, .path = "b", .size = 5}, {.kind = F, .path = "a", .size = 0}}},
        {PEN_EDENIED, {{.kind = F, .path = "a", .size = 5}, {.kind = D, .path = "a"}}},
        {PEN_EDENIED, {{.kind = D, .path = "a"}, {.kind = D, .path = "a"}}},
        {PEN_EDENIED, {{.kind = F, .path = "prog", .size = 5, .mode = 04755}}},
        {PEN_EDENIED, {{.kind = F, .path = "prog", .size = 5, .mode = 0100644}}},
        {PEN_EDENIED, {{.kind = 4, .path = "device"}}},
        {PEN_EDENIED, {{.kind = -1, .path = "device"}}},
        {PEN_ECORRUPT, {{.kind = 0, .path = "a", .size = 5}}},
        {PEN_ECORRUPT, {{.kind = L, .path = "link", .target = ""}}},
        {PEN_ECORRUPT, {{.kind = L, .path = "link"}}},
        {PEN_ECORRUPT, {{.kind = F, .path = "a", .size = 5, .mode = 0644, .mtime_ns = 1000000000}}},
        {PEN_ECORRUPT, {{.kind = F, .path = "a", .size = 6}}}, /* longer than what is there */
        {PEN_ELIMIT, {{.kind = F, .path = "a", .size = UINT64_MAX}}},
        {PEN_ECORRUPT, {{.kind = F, .path = "a", .size = 4}}}, /* a byte belongs to nothing */
        {PEN_ECORRUPT,
         {{.kind = F, .path = "a", .size = 3},
          {.kind = F, .path = "b", .size = 2}}}, /* the CRC does not fit */
    };
    assert_int_equal(mkdir(at("victim"), 0755), 0);
    put("victim/file", "untouched", 0644);
    for (size_t i = 0; i < sizeof corpus / sizeof corpus[0]; i++) {
        size_t count = corpus[i].entries[1].path ? corpus[i].entries[2].path ? 3 : 2 : 1;
        PEN_CLEANUP(pen_buf_release) struct pen_buf entries = {0};
        uint8_t name[PEN_SHA256_SIZE];
        entries_make(corpus[i].entries, count, &entries);
        uint64_t content = 0;
        for (size_t k = 0; k < count; k++)
            content += corpus[i].entries[k].size;
        manifest_store(&entries, "pwned", content == 0 ? 0 : 5, entries.size, name);
        struct pen_error err = {0};
        int rc = pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err);
        if (rc != corpus[i].code)
            fail_msg("case %zu: %d %s", i, rc, err.message);
        assert_nothing_escaped(i);
        assert_int_equal(pen_dir_remove_tree(at("out"), NULL), 0);
        assert_int_equal(mkdir(at("out"), 0755), 0);
    }
}

/* Cut off, lengthened, or with any bits changed: refused, or a tree inside the folder. */
static void test_damaged_entries(void **state)
{
    (void)state;
    static const struct raw_entry raw[] = {{.kind = D, .path = "d"},
                                           {.kind = F, .path = "d/file", .size = 5, .mode = 0644},
                                           {.kind = L, .path = "d/link", .target = "../../victim"},
                                           {.kind = L, .path = "z", .target = "/"}};
    PEN_CLEANUP(pen_buf_release) struct pen_buf entries = {0};
    uint8_t name[PEN_SHA256_SIZE];
    struct pen_error err = {0};
    assert_int_equal(mkdir(at("victim"), 0755), 0);
    put("victim/file", "untouched", 0644);
    entries_make(raw, 4, &entries);
    manifest_store(&entries, "pwned", 5, entries.size, name);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err), 0);
    manifest_store(&entries, "pwned", 5, entries.size - 1, name); /* no chunk ends there */
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ECORRUPT);
    manifest_store(&entries, "pwned", 5, 0, name); /* all of it is content, of no file */
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ECORRUPT);
    size_t whole = entries.size;
    size_t good = 0;
    for (size_t size = 1; size < whole; size++) {
        entries.size = size;
        manifest_store(&entries, "pwned", 5, size, name);
        if (pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err) == 0)
            good++; /* cut between two links */
    }
    assert_int_equal(good, 2);
    entries.size = whole;
    uint64_t seed = 42;
    for (size_t i = 0; i < 3000; i++) {
        uint8_t byte = 0;
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        size_t place = (size_t)(seed >> 33) % whole;
        byte = entries.data[place];
        entries.data[place] ^= (uint8_t)(1u << (seed >> 60 & 7));
        manifest_store(&entries, "pwned", 5, entries.size, name);
        (void)pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err);
        entries.data[place] = byte;
        assert_nothing_escaped(i);
        assert_int_equal(pen_dir_remove_tree(at("out"), NULL), 0);
        assert_int_equal(mkdir(at("out"), 0755), 0);
    }
}

static void test_crc32(void **state)
{
    (void)state;
    /* the check value of the CRC catalogue, and of nothing */
    assert_int_equal(pen_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(pen_crc32(0, "", 0), 0);
    assert_int_equal(pen_crc32(pen_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    uint8_t bytes[100];
    fill(bytes, sizeof bytes, 3);
    uint32_t whole = pen_crc32(0, bytes, sizeof bytes);
    for (size_t i = 0; i <= sizeof bytes; i++)
        assert_int_equal(pen_crc32(pen_crc32(0, bytes, i), bytes + i, sizeof bytes - i), whole);
}

static void test_escapes(void **state)
{
    (void)state;
    static const struct hostile corpus[][3] = {
        {{"../escape", AE_IFREG, NULL, NULL}},
        {{"a/../../escape", AE_IFREG, NULL, NULL}},
        {{"a/..", AE_IFDIR, NULL, NULL}},
        {{"./../escape", AE_IFREG, NULL, NULL}},
        {{"/tmp/pen-test-escape", AE_IFREG, NULL, NULL}},
        {{"..", AE_IFDIR, NULL, NULL}},
        {{"a//b", AE_IFREG, NULL, NULL}},
        {{"link", AE_IFLNK, "../victim", NULL}, {"link/below", AE_IFREG, NULL, NULL}},
        {{"d/link", AE_IFLNK, "../../victim", NULL}, {"d/link/below/x", AE_IFREG, NULL, NULL}},
        {{"link", AE_IFLNK, "../victim", NULL}, {"link/below", AE_IFDIR, NULL, NULL}},
        {{"x/up", AE_IFLNK, "..", NULL},
         {"x/out", AE_IFLNK, "up/..", NULL},
         {"x/out/victim/below", AE_IFREG, NULL, NULL}},
        {{"link", AE_IFLNK, "victim", NULL}, {"link/file", AE_IFREG, NULL, NULL}},
        {{"folder", AE_IFDIR, NULL, NULL},
         {"link", AE_IFLNK, "folder", NULL},
         {"link/file", AE_IFREG, NULL, NULL}},
        {{"link", AE_IFLNK, ".", NULL}, {"link", AE_IFDIR, NULL, NULL}},
        {{"hard", AE_IFREG, NULL, "../victim/file"}},
        {{"hard", AE_IFREG, NULL, "/etc/passwd"}},
        {{"file", AE_IFREG, NULL, NULL}, {"hard", AE_IFREG, NULL, "file"}},
        {{"device", AE_IFCHR, NULL, NULL}},
        {{"device", AE_IFBLK, NULL, NULL}},
        {{"pipe", AE_IFIFO, NULL, NULL}},
        {{"file", AE_IFREG, NULL, NULL}, {"file/below", AE_IFREG, NULL, NULL}},
    };
    assert_int_equal(mkdir(at("victim"), 0755), 0);
    put("victim/file", "untouched", 0644);
    for (size_t i = 0; i < sizeof corpus / sizeof corpus[0]; i++) {
        size_t count = corpus[i][1].path ? corpus[i][2].path ? 3 : 2 : 1;
        PEN_CLEANUP(pen_buf_release) struct pen_buf stream = {0};
        stream_make(corpus[i], count, &stream);
        uint8_t name[PEN_SHA256_SIZE];
        stream_store(&stream, name);
        struct pen_error err = {0};
        int rc = pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err);
        if (rc != PEN_EDENIED)
            fail_msg("case %zu: %d %s", i, rc, err.message);
        assert_file("victim/file", "untouched", 0644);
        assert_int_equal(access(at("escape"), F_OK), -1);
        assert_int_equal(access(at("victim/below"), F_OK), -1);
        assert_int_equal(access("/tmp/pen-test-escape", F_OK), -1);
        assert_int_equal(pen_dir_remove_tree(at("out"), NULL), 0);
        assert_int_equal(mkdir(at("out"), 0755), 0);
    }
}

/* A link that was there before is not followed either. */
static void test_link_in_the_target(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("victim"), 0755), 0);
    assert_int_equal(mkdir(at("in/folder"), 0755), 0);
    put("in/folder/file", "x", 0644);
    put("in/top", "x", 0644);
    assert_int_equal(symlink("../victim", at("out/folder")), 0);
    assert_int_equal(symlink("../victim/made", at("out/top")), 0);
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    assert_int_equal(pack("in", NULL, 0, &ref, NULL), 0);
    assert_int_equal(unpack(&ref, &err), PEN_EDENIED);
    assert_int_equal(access(at("victim/file"), F_OK), -1);
    assert_int_equal(unlink(at("out/folder")), 0);
    assert_int_equal(unpack(&ref, &err), 0);
    assert_int_equal(access(at("victim/made"), F_OK), -1);
    assert_file("out/top", "x", 0644);
}

static void test_setuid_is_dropped(void **state)
{
    (void)state;
    static const struct hostile entries[] = {{"prog", AE_IFREG, NULL, NULL},
                                             {"shared", AE_IFDIR, NULL, NULL}};
    PEN_CLEANUP(pen_buf_release) struct pen_buf stream = {0};
    stream_make(entries, 2, &stream);
    uint8_t name[PEN_SHA256_SIZE];
    stream_store(&stream, name);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, NULL), 0);
    assert_file("out/prog", "pwned", 0755);
    struct stat status;
    assert_int_equal(stat(at("out/shared"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
}

static void test_damage(void **state)
{
    (void)state;
    static const struct hostile entries[] = {{"one", AE_IFREG, NULL, NULL},
                                             {"two", AE_IFREG, NULL, NULL}};
    PEN_CLEANUP(pen_buf_release) struct pen_buf stream = {0};
    stream_make(entries, 2, &stream);
    uint8_t name[PEN_SHA256_SIZE];
    struct pen_error err = {0};
    stream.data[100] ^= 0x55; /* the header's checksum no longer fits */
    stream_store(&stream, name);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ECORRUPT);
    stream.data[100] ^= 0x55;
    stream.size = 514; /* cut off within a file */
    stream_store(&stream, name);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ECORRUPT);
    /* no manifest at all */
    assert_int_equal(pen_blob_put(store, "\xff\xff\xff", 3, name, NULL), 0);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ECORRUPT);
    name[0] ^= 1;
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &pen_unpack_default, &err),
                     PEN_ENOTFOUND);
}

static void test_bombs_are_bounded(void **state)
{
    (void)state;
    /* 64 MiB of zeros: one chunk, listed 256 times */
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *packer = NULL;
    PEN_CLEANUP(pen_free) uint8_t *bytes = calloc(1, 64 << 20);
    assert_int_equal(pen_packer_create(store, &packer, NULL), 0);
    assert_int_equal(pen_packer_add_bytes(packer, "zeros", &plain, bytes, 64 << 20, NULL), 0);
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pen_packer_finish(packer, &ref, NULL), 0);
    struct pen_unpack_limits limits = {.bytes_max = 1 << 20, .entries_max = 10};
    struct pen_error err = {0};
    assert_int_equal(pen_archive_unpack(store, ref.manifest_sha256.data, at("out"), &limits, &err),
                     PEN_ELIMIT);
    struct stat status;
    assert_int_equal(stat(at("out/zeros"), &status), -1);
    /* too many entries */
    struct hostile entries[11] = {0};
    char names[11][8];
    for (size_t i = 0; i < 11; i++) {
        (void)snprintf(names[i], sizeof names[i], "d%02zu", i);
        entries[i] = (struct hostile){names[i], AE_IFDIR, NULL, NULL};
    }
    PEN_CLEANUP(pen_buf_release) struct pen_buf stream = {0};
    stream_make(entries, 11, &stream);
    uint8_t name[PEN_SHA256_SIZE];
    stream_store(&stream, name);
    assert_int_equal(pen_archive_unpack(store, name, at("out"), &limits, &err), PEN_ELIMIT);
    assert_true(pen_file_exists(at("out/d09")));
    assert_false(pen_file_exists(at("out/d10")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    (void)umask(022);
    const struct CMUnitTest tests[] = {
        TEST(test_hostile_entries), TEST(test_damaged_entries),    TEST(test_crc32),
        TEST(test_escapes),         TEST(test_link_in_the_target), TEST(test_setuid_is_dropped),
        TEST(test_damage),          TEST(test_bombs_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
