/* Folders, a store, and what is in them, for the tests of artifacts. */
#ifndef PEN_TESTS_UNIT_BLOB_FIXTURE_H
#define PEN_TESTS_UNIT_BLOB_FIXTURE_H

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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/archive.h"
#include "common/blob/crc32.h"
#include "common/blob/entry.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

static char *root;
static struct pen_blob_store *store;

/* root/PATH, in one of a few static buffers */
static inline const char *at(const char *path)
{
    static char buffers[4][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 4];
    (void)snprintf(buffer, sizeof buffers[0], "%s/%s", root, path);
    return buffer;
}

static inline int set_up(void **state)
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

static inline int tear_down(void **state)
{
    (void)state;
    pen_blob_store_close(&store);
    assert_int_equal(pen_dir_remove_tree(root, NULL), 0);
    free(root);
    return 0;
}

static inline void put(const char *path, const char *text, mode_t mode)
{
    assert_int_equal(pen_file_replace_unsynced(at(path), text, strlen(text), mode, NULL), 0);
}

static inline void assert_file(const char *path, const char *text, mode_t mode)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    struct stat status;
    assert_int_equal(lstat(at(path), &status), 0);
    assert_true(S_ISREG(status.st_mode));
    assert_int_equal(status.st_mode & 07777, mode);
    assert_int_equal(pen_file_read(at(path), 1 << 20, &bytes, NULL), 0);
    assert_string_equal(pen_buf_text(&bytes), text);
}

static inline void ref_release(Pen__ArtifactRef *ref)
{
    free(ref->manifest_sha256.data);
}

static inline int pack(const char *folder, char *const *globs, size_t globs_count,
                       Pen__ArtifactRef *ret_ref, struct pen_error *err)
{
    *ret_ref = (Pen__ArtifactRef)PEN__ARTIFACT_REF__INIT;
    return pen_archive_pack(store, at(folder), globs, globs_count, NULL, ret_ref, err);
}

static inline int unpack(const Pen__ArtifactRef *ref, struct pen_error *err)
{
    return pen_archive_unpack(store, ref->manifest_sha256.data, at("out"), &pen_unpack_default,
                              err);
}

static inline void fill(uint8_t *bytes, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

static const struct pen_entry_facts plain = {.mode = 0644, .mtime_s = PEN_ARCHIVE_FIXED_TIME_S};

#endif
