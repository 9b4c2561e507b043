/* common/blob/archive.h: folders come back as they were; hostile streams write nothing outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

static char *root;
static struct pen_blob_store *store;

/* root/PATH, in one of a few static buffers */
static const char *at(const char *path)
{
    static char buffers[4][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", root, path);
    return buffer;
}

static int set_up(void **state)
{
    (void)state;
    char name[] = "/tmp/pen-test-archive-XXXXXX";
    assert_non_null(mkdtemp(name));
    root = strdup(name);
    assert_int_equal(pen_blob_store_open(at("blobs"), &store, NULL), 0);
    assert_int_equal(mkdir(at("in"), 0755), 0);
    assert_int_equal(mkdir(at("out"), 0755), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pen_blob_store_close(&store);
    assert_int_equal(pen_dir_remove_tree(root, NULL), 0);
    free(root);
    return 0;
}

static void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(pen_file_replace_unsynced(at(path), text, strlen(text), mode, NULL), 0);
}

static void assert_file(const char *path, const char *text, mode_t mode)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    struct stat status;
    assert_int_equal(lstat(at(path), &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(status.st_mode & 07777, mode);
    assert_int_equal(pen_file_read(at(path), 1 << 20, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
}

static void ref_release(Pen__ArtifactRef *ref)
{
    free(ref->manifest_sha256.data);
}

static int pack(const char *folder, char *const *globs, size_t globs_count,
                Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    *ret_ref = (Pen__ArtifactRef)PEN__ARTIFACT_REF__INIT;
    return pen_archive_pack(store, at(folder), globs, globs_count, ret_ref, err);
}

static int unpack(const Pen__ArtifactRef *ref, struct pen_error *err)
{
    return pen_archive_unpack(store, ref->manifest_sha256.data, at("out"), &pen_unpack_default,
                              err);
}

static void test_round_trip(void **state)
{
    (void)state;
    char long_name[201];
    memset(long_name, 'n', 200);
    long_name[200] = '\0';
    char path[512];
    put("in/plain", "text", 0644);
    put("in/run", "#!/bin/sh\n", 0755);
    put("in/private", "x", 0600);
    put("in/setuid", "x", 0755);
    assert_int_equal(chmod(at("in/setuid"), 06755), 0);
    put("in/empty", "", 0644);
    put("in/gr\xc3\xbc\xc3\x9f \xff\n", "name", 0644);
    assert_int_equal(pen_dir_make(at("in/a/b/empty"), 0755, NULL), 0);
    put("in/a/b/deep", "deep", 0644);
    put("in/a.txt", "sorts before a/", 0644);
    (void)snprintf(path, sizeof path, "in/a/%s", long_name);
    put(path, "long", 0644);
    assert_int_equal(symlink("../a.txt", at("in/a/up")), 0);
    assert_int_equal(symlink(long_name, at("in/a/long-target")), 0);
    assert_int_equal(symlink("nowhere", at("in/dangling")), 0);

    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    if (pack("in", NULL, 0, &ref, &err) < 0 || unpack(&ref, &err) < 0)
        fail_msg("%s", err.message);
    assert_file("out/plain", "text", 0644);
    assert_file("out/run", "#!/bin/sh\n", 0755);
    assert_file("out/private", "x", 0644);
    assert_file("out/setuid", "x", 0755);
    assert_file("out/empty", "", 0644);
    assert_file("out/gr\xc3\xbc\xc3\x9f \xff\n", "name", 0644);
    assert_file("out/a/b/deep", "deep", 0644);
    (void)snprintf(path, sizeof path, "out/a/%s", long_name);
    assert_file(path, "long", 0644);
    struct stat status;
    assert_int_equal(stat(at("out/a/b/empty"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    char target[300] = {0};
    assert_int_equal(readlink(at("out/a/up"), target, sizeof target), 8);
    assert_string_equal(target, "../a.txt");
    assert_int_equal(readlink(at("out/a/long-target"), target, sizeof target), 200);
    assert_int_equal(readlink(at("out/dangling"), target, sizeof target), 7);

    /* the same content gives the same name, and what was unpacked is the same content */
    PEN_CLEANUP(ref_release) Pen__ArtifactRef again = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("out", NULL, 0, &again, NULL), 0);
    assert_memory_equal(ref.manifest_sha256.data, again.manifest_sha256.data, PEN_SHA256_SIZE);
    assert_true(ref.size == again.size);
    /* over an older tree: files and links are replaced */
    assert_int_equal(unpack(&ref, &err), 0);
    assert_file("out/plain", "text", 0644);
}

/* Other programs can read the stream. */
static void test_gnu_tar_reads_it(void **state)
{
    (void)state;
    put("in/one", "1", 0644);
    assert_int_equal(mkdir(at("in/two"), 0755), 0);
    put("in/two/three", "3", 0755);
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", NULL, 0, &ref, NULL), 0);
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    assert_int_equal(pen_manifest_get(store, ref.manifest_sha256.data, &manifest, NULL), 0);
    assert_int_equal(manifest->files, 3);
    PEN_CLEANUP(pen_buf_release) struct pen_buf stream = {0};
    for (size_t i = 0; i < manifest->n_chunks; i++)
        assert_int_equal(
            pen_blob_get(store, manifest->chunks[i]->sha256.data, PEN_CHUNK_MAX, &stream, NULL), 0);
    assert_true(stream.size == ref.size);
    uint8_t digest[PEN_SHA256_SIZE];
    pen_sha256(stream.data, stream.size, digest);
    assert_memory_equal(digest, manifest->sha256.data, sizeof digest);
    assert_int_equal(pen_file_replace_unsynced(at("x.tar"), stream.data, stream.size, 0600, NULL),
                     0);
    char command[2048];
    (void)snprintf(command, sizeof command, "%s", at("x.tar"));
    pid_t pid = fork();
    if (pid == 0) {
        (void)execlp("tar", "tar", "-xf", command, "-C", at("out"), (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_file("out/two/three", "3", 0755);
}

static void test_globs(void **state)
{
    (void)state;
    assert_int_equal(pen_dir_make(at("in/build/bin"), 0755, NULL), 0);
    assert_int_equal(pen_dir_make(at("in/build/empty"), 0755, NULL), 0);
    assert_int_equal(pen_dir_make(at("in/src"), 0755, NULL), 0);
    put("in/build/bin/prog", "p", 0755);
    put("in/build/log", "l", 0644);
    put("in/src/a.c", "c", 0644);
    put("in/src/a.h", "h", 0644);
    put("in/README", "r", 0644);
    char *globs[] = {"build/bin", "**/*.h", "READ*", "build/em*"};
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    assert_int_equal(pack("in", globs, 4, &ref, &err), 0);
    assert_int_equal(unpack(&ref, &err), 0);
    assert_file("out/build/bin/prog", "p", 0755);
    assert_file("out/src/a.h", "h", 0644);
    assert_file("out/README", "r", 0644);
    assert_true(pen_file_exists(at("out/build/empty")));
    assert_false(pen_file_exists(at("out/build/log")));
    assert_false(pen_file_exists(at("out/src/a.c")));
    char *missing[] = {"README", "dist/*"};
    Pen__ArtifactRef none = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", missing, 2, &none, &err), PEN_ENOTFOUND);
    assert_string_equal(err.message, "no file matches 'dist/*'");
    assert_null(none.manifest_sha256.data);
}

static void test_empty_folder(void **state)
{
    (void)state;
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    assert_int_equal(pack("in", NULL, 0, &ref, &err), 0);
    if (unpack(&ref, &err) < 0)
        fail_msg("%s", err.message);
}

static void test_what_is_not_packed(void **state)
{
    (void)state;
    struct pen_error err = {0};
    Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    static const char *const targets[] = {"/etc/passwd", "../out", "a/../b", "", "a/.."};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        if (symlink(targets[i], at("in/link")) < 0)
            continue; /* "" cannot be made at all */
        assert_int_equal(pack("in", NULL, 0, &ref, &err), PEN_EDENIED);
        assert_non_null(strstr(err.message, "'link'"));
        assert_int_equal(unlink(at("in/link")), 0);
    }
    assert_int_equal(mkfifo(at("in/pipe"), 0600), 0);
    assert_int_equal(pack("in", NULL, 0, &ref, &err), PEN_EINVAL);
    assert_non_null(strstr(err.message, "'pipe'"));
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *packer = NULL;
    assert_int_equal(pen_packer_create(store, &packer, &err), 0);
    static const char *const paths[] = {"/a", "../a", "a/../b", "a//b", "", ".", "a/.", "a/"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(pen_packer_add_bytes(packer, paths[i], false, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_bytes(packer, "b", false, "", 0, &err), 0);
    assert_int_equal(pen_packer_add_bytes(packer, "b", false, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_bytes(packer, "a", false, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_folder(packer, "b", &err), 0); /* "b/" sorts after "b" */
}

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
        {{"link", AE_IFLNK, "../victim", NULL}},
        {{"link", AE_IFLNK, "/tmp", NULL}},
        {{"link", AE_IFLNK, "a/../../victim", NULL}},
        {{"d/link", AE_IFLNK, "../../victim", NULL}},
        {{"d/e/up", AE_IFLNK, "../..", NULL}, {"out", AE_IFLNK, "d/e/up/..", NULL}},
        {{"x/up", AE_IFLNK, "..", NULL}, {"x/out", AE_IFLNK, "up/..", NULL}},
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
    assert_int_equal(pen_packer_add_bytes(packer, "zeros", false, bytes, 64 << 20, NULL), 0);
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

static void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

static uint64_t stored_bytes(void)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < 256; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "blobs/%02x", i);
        DIR *stream = opendir(at(name));
        const struct dirent *entry;
        while (stream && (entry = readdir(stream))) {
            struct stat status;
            if (fstatat(dirfd(stream), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode))
                total += (uint64_t)status.st_size;
        }
        if (stream)
            (void)closedir(stream);
    }
    return total;
}

static void test_two_versions_share_their_chunks(void **state)
{
    (void)state;
    enum { FILES = 40, FILE_SIZE = 200 * 1024 };
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(FILE_SIZE);
    char name[64];
    for (uint64_t i = 0; i < FILES; i++) {
        fill(bytes, FILE_SIZE, i);
        (void)snprintf(name, sizeof name, "in/file%02u", (unsigned)i);
        assert_int_equal(pen_file_replace_unsynced(at(name), bytes, FILE_SIZE, 0644, NULL), 0);
    }
    PEN_CLEANUP(ref_release) Pen__ArtifactRef one = PEN__ARTIFACT_REF__INIT;
    PEN_CLEANUP(ref_release) Pen__ArtifactRef two = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", NULL, 0, &one, NULL), 0);
    uint64_t first = stored_bytes();
    put("in/aaa", "a new small file at the front", 0644);
    fill(bytes, FILE_SIZE, 20);
    memset(bytes + 1000, 'c', 7);
    assert_int_equal(pen_file_replace_unsynced(at("in/file20"), bytes, FILE_SIZE, 0644, NULL), 0);
    assert_int_equal(pack("in", NULL, 0, &two, NULL), 0);
    uint64_t added = stored_bytes() - first;
    print_message("%" PRIu64 " bytes, second version adds %" PRIu64 ": %.1f %%\n", first, added,
                  100.0 * (double)added / (double)first);
    assert_true(added * 10 < first);
}

static void test_64_mib(void **state)
{
    (void)state;
    size_t size = 64 << 20;
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(size);
    fill(bytes, size, 5);
    for (size_t i = 0; i < size; i += 2)
        bytes[i] &= 0x0f; /* compresses a little, as programs do */
    assert_int_equal(pen_file_replace_unsynced(at("in/big"), bytes, size, 0755, NULL), 0);
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    int64_t start = pen_clock_monotonic_ms();
    assert_int_equal(pack("in", NULL, 0, &ref, NULL), 0);
    int64_t packed = pen_clock_monotonic_ms();
    assert_int_equal(unpack(&ref, NULL), 0);
    int64_t unpacked = pen_clock_monotonic_ms();
    print_message("64 MiB: packed in %" PRId64 " ms, unpacked in %" PRId64 " ms\n", packed - start,
                  unpacked - packed);
    PEN_CLEANUP(pen_buf_release) struct pen_buf back = {0};
    assert_int_equal(pen_file_read(at("out/big"), size, &back, NULL), 0);
    assert_int_equal(back.size, size);
    assert_memory_equal(back.data, bytes, size);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    (void)umask(022);
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),
        TEST(test_gnu_tar_reads_it),
        TEST(test_globs),
        TEST(test_empty_folder),
        TEST(test_what_is_not_packed),
        TEST(test_escapes),
        TEST(test_link_in_the_target),
        TEST(test_setuid_is_dropped),
        TEST(test_damage),
        TEST(test_bombs_are_bounded),
        TEST(test_two_versions_share_their_chunks),
        TEST(test_64_mib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
