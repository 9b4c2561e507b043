/* common/blob/archive.h: folders come back as they were. */
#include "tests/unit/blob/fixture.h"

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
    assert_file("out/private", "x", 0600);
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

/* Sockets, pipes and devices hold nothing that could be kept: left out, and told. */
static void test_special_files_are_left_out(void **state)
{
    (void)state;
    struct pen_error err = {0};
    struct pen_pack_skipped skipped = {0};
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    put("in/file", "kept", 0644);
    assert_int_equal(mkfifo(at("in/pipe"), 0600), 0);
    assert_int_equal(pen_archive_pack(store, at("in"), NULL, 0, &skipped, &ref, &err), 0);
    assert_int_equal(skipped.count, 1);
    assert_string_equal(skipped.first, "'pipe', a pipe");
    assert_int_equal(unpack(&ref, &err), 0);
    assert_file("out/file", "kept", 0644);
    assert_int_equal(access(at("out/pipe"), F_OK), -1);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/in/socket", root) <
                sizeof address.sun_path);
    PEN_CLEANUP(pen_fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    char *globs[] = {"f*", "**/socket"};
    Pen__ArtifactRef none = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pen_archive_pack(store, at("in"), globs, 2, NULL, &none, &err), PEN_ENOTFOUND);
    assert_string_equal(err.message, "no file matches '**/socket'; sockets, pipes and devices do "
                                     "not count: 'socket', a socket");
}

/* Links of every kind that git, tar or a tool makes are there again, and none is followed. */
static void test_links_stay_links(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/usr/share/zoneinfo/UTC",
        "../shared-config",
        "lib/a/../a/x",
        "a/..",
        ".",
        "..",
        "/",
        "../../../../../../etc/passwd",
        "loop",
        "nowhere",
        "a//b/./c",
        "with\nnewline \xff",
    };
    enum { COUNT = sizeof targets / sizeof targets[0] };
    char name[64];
    char target[128];
    assert_int_equal(mkdir(at("victim"), 0755), 0);
    put("victim/secret", "secret", 0644);
    assert_int_equal(symlink("../victim", at("in/victim")), 0);
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "in/%02zu", i);
        assert_int_equal(symlink(targets[i], at(name)), 0);
    }
    char longest[PEN_ARCHIVE_TARGET_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(symlink(longest, at("in/longest")), 0);
    char *globs[] = {"**/*"};
    for (size_t globs_count = 0; globs_count < 2; globs_count++) {
        PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
        struct pen_error err = {0};
        if (pack("in", globs, globs_count, &ref, &err) < 0 || unpack(&ref, &err) < 0)
            fail_msg("%s", err.message);
        for (size_t i = 0; i < COUNT; i++) {
            (void)snprintf(name, sizeof name, "out/%02zu", i);
            ssize_t size = readlink(at(name), target, sizeof target - 1);
            assert_int_equal(size, (ssize_t)strlen(targets[i]));
            target[size] = '\0';
            assert_string_equal(target, targets[i]);
        }
        char *back = calloc(1, sizeof longest + 1);
        assert_int_equal(readlink(at("out/longest"), back, sizeof longest),
                         (ssize_t)sizeof longest - 1);
        free(back);
        struct stat status;
        assert_int_equal(lstat(at("out/victim"), &status), 0);
        assert_true(S_ISLNK(status.st_mode));
    }
    /* a glob through a link finds nothing: it is not followed */
    char *through[] = {"victim/*"};
    Pen__ArtifactRef none = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", through, 1, &none, NULL), PEN_ENOTFOUND);
}

static void set_time(const char *path, int64_t seconds, long nanoseconds)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    assert_int_equal(utimensat(AT_FDCWD, at(path), times, AT_SYMLINK_NOFOLLOW), 0);
}

static void assert_time(const char *path, int64_t seconds, long nanoseconds)
{
    struct stat status;
    assert_int_equal(lstat(at(path), &status), 0);
    assert_int_equal(status.st_mtim.tv_sec, seconds);
    assert_int_equal(status.st_mtim.tv_nsec, nanoseconds);
}

/* What make and others build on: times and modes of files, folders and links. */
static void test_times_and_modes(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0444, 0777, 0755, 0640, 0400};
    char name[64];
    assert_int_equal(pen_dir_make(at("in/a/b"), 0755, NULL), 0);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        (void)snprintf(name, sizeof name, "in/a/b/%zu", i);
        put(name, "x", modes[i]);
        assert_int_equal(chmod(at(name), modes[i]), 0);
        set_time(name, 1700000000 + (int64_t)i, 123456789);
    }
    assert_int_equal(symlink("b", at("in/a/link")), 0);
    set_time("in/a/link", 1500000000, 5);
    put("in/before-1970", "x", 0644);
    set_time("in/before-1970", -86400, 0);
    put("in/far", "x", 0644);
    set_time("in/far", 4102444800, 0);
    assert_int_equal(chmod(at("in/a/b"), 0555), 0);
    assert_int_equal(chmod(at("in/a"), 0710), 0);
    set_time("in/a/b", 1600000000, 1);
    set_time("in/a", 1600000001, 0);

    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    if (pack("in", NULL, 0, &ref, &err) < 0 || unpack(&ref, &err) < 0)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct stat status;
        (void)snprintf(name, sizeof name, "out/a/b/%zu", i);
        assert_int_equal(stat(at(name), &status), 0);
        assert_int_equal(status.st_mode & 07777, modes[i]);
        assert_time(name, 1700000000 + (int64_t)i, 123456789);
    }
    assert_time("out/a/link", 1500000000, 5);
    assert_time("out/before-1970", -86400, 0);
    assert_time("out/far", 4102444800, 0);
    assert_time("out/a/b", 1600000000, 1);
    assert_time("out/a", 1600000001, 0);
    struct stat status;
    assert_int_equal(stat(at("out/a/b"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0555);
    assert_int_equal(stat(at("out/a"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0710);

    /* folders above what a glob takes are as they were, too */
    assert_int_equal(pen_dir_remove_tree(at("out"), NULL), 0);
    assert_int_equal(mkdir(at("out"), 0755), 0);
    char *globs[] = {"a/b/0"};
    PEN_CLEANUP(ref_release) Pen__ArtifactRef part = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", globs, 1, &part, &err), 0);
    assert_int_equal(unpack(&part, &err), 0);
    assert_time("out/a", 1600000001, 0);
    assert_time("out/a/b", 1600000000, 1);
    assert_int_equal(access(at("out/a/b/1"), F_OK), -1);
}

/* A time or a mode costs its entry, not the content. */
static void test_times_cost_no_content(void **state)
{
    (void)state;
    enum { SIZE = 8 << 20 };
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(SIZE);
    fill(bytes, SIZE, 77);
    assert_int_equal(pen_file_replace_unsynced(at("in/big"), bytes, SIZE, 0644, NULL), 0);
    for (unsigned i = 0; i < 300; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "in/small%03u", i);
        put(name, "a few bytes", 0644);
    }
    PEN_CLEANUP(ref_release) Pen__ArtifactRef one = PEN__ARTIFACT_REF__INIT;
    PEN_CLEANUP(ref_release) Pen__ArtifactRef two = PEN__ARTIFACT_REF__INIT;
    assert_int_equal(pack("in", NULL, 0, &one, NULL), 0);
    assert_int_equal(pen_blob_store_sync(store, NULL), 0);
    uint64_t first = stored_bytes();
    for (unsigned i = 0; i < 300; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "in/small%03u", i);
        set_time(name, 1000000000 + (int64_t)i, (long)i);
    }
    set_time("in/big", 1, 1);
    assert_int_equal(chmod(at("in/big"), 0755), 0);
    assert_int_equal(pack("in", NULL, 0, &two, NULL), 0);
    assert_memory_not_equal(one.manifest_sha256.data, two.manifest_sha256.data, PEN_SHA256_SIZE);
    uint64_t added = stored_bytes() - first;
    print_message("%" PRIu64 " bytes, other times add %" PRIu64 "\n", first, added);
    assert_true(added < 32 * 1024);
}

/* Deeper than PATH_MAX, as nested dependencies and tests of tools make them. */
static void test_deeper_than_path_max(void **state)
{
    (void)state;
    enum { DEPTH = 600 };
    char part[32];
    int fd = open(at("in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < DEPTH; i++) {
        (void)snprintf(part, sizeof part, "folder-number-%u", i);
        assert_int_equal(mkdirat(fd, part, 0755), 0);
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        if (i % 100 == 0) {
            int side = openat(fd, "zz", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
            assert_int_equal(write(side, "side", 4), 4);
            (void)close(side);
        }
        (void)close(fd);
        fd = next;
    }
    int file = openat(fd, "deepest", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(write(file, "deep", 4), 4);
    (void)close(file);
    (void)close(fd);
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    PEN_CLEANUP(ref_release) Pen__ArtifactRef again = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    if (pack("in", NULL, 0, &ref, &err) < 0 || unpack(&ref, &err) < 0)
        fail_msg("%s", err.message);
    fd = open(at("out"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < DEPTH; i++) {
        (void)snprintf(part, sizeof part, "folder-number-%u", i);
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        assert_int_equal(faccessat(fd, "zz", F_OK, 0), i % 100 == 0 ? 0 : -1);
        (void)close(fd);
        fd = next;
    }
    assert_int_equal(faccessat(fd, "deepest", R_OK, 0), 0);
    (void)close(fd);
    assert_int_equal(pack("out", NULL, 0, &again, &err), 0);
    assert_memory_equal(ref.manifest_sha256.data, again.manifest_sha256.data, PEN_SHA256_SIZE);
}

/* What no glob can match is none of an output's business. */
static void test_bad_places_elsewhere(void **state)
{
    (void)state;
    put("in/top", "top", 0644);
    assert_int_equal(pen_dir_make(at("in/build/bin"), 0755, NULL), 0);
    put("in/build/bin/prog", "p", 0755);
    put("in/build/notes", "n", 0644);
    /* a name too long for any path, a pipe, and a folder that nobody may read */
    assert_int_equal(pen_dir_make(at("in/bad/closed/x"), 0755, NULL), 0);
    assert_int_equal(mkfifo(at("in/bad/pipe"), 0600), 0);
    assert_int_equal(mkfifo(at("in/build/pipe"), 0600), 0);
    put("in/bad/closed/file", "x", 0000);
    assert_int_equal(chmod(at("in/bad/closed"), 0000), 0);
    char *globs[] = {"top", "build/b*", "./build/bin/", "build/?otes"};
    PEN_CLEANUP(ref_release) Pen__ArtifactRef ref = PEN__ARTIFACT_REF__INIT;
    struct pen_error err = {0};
    struct pen_pack_skipped skipped = {0};
    /* the privileges of root would open it */
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (chown(root, 65534, 65534) < 0 || chmod(root, 0755) < 0))
            _exit(9);
        (void)pen_blob_store_close(&store);
        char command[1024];
        (void)snprintf(command, sizeof command,
                       "chmod -R a+rwX '%s/blobs' && chown -R 65534 '%s/blobs'", root, root);
        if (geteuid() == 0 && (system(command) != 0 || setuid(65534) < 0))
            _exit(8);
        if (pen_blob_store_open(at("blobs"), &store, NULL) < 0)
            _exit(7);
        if (pen_archive_pack(store, at("in"), globs, 4, &skipped, &ref, &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.message);
            _exit(6);
        }
        pen_blob_store_close(&store);
        _exit(skipped.count == 0 ? 0 : 5);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(at("in/bad/closed"), 0755), 0);
    assert_int_equal(pack("in", globs, 4, &ref, &err), 0);
    assert_int_equal(unpack(&ref, &err), 0);
    assert_file("out/build/bin/prog", "p", 0755);
    assert_file("out/build/notes", "n", 0644);
    assert_int_equal(access(at("out/bad"), F_OK), -1);
}

static void test_packer_takes_only_paths_in_order(void **state)
{
    (void)state;
    struct pen_error err = {0};
    PEN_CLEANUP(pen_packer_destroy) struct pen_packer *packer = NULL;
    assert_int_equal(pen_packer_create(store, &packer, &err), 0);
    static const char *const paths[] = {"/a", "../a", "a/../b", "a//b", "",
                                        ".",  "a/.",  "a/",     "a/b"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(pen_packer_add_bytes(packer, paths[i], &plain, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_bytes(packer, "b", &plain, "", 0, &err), 0);
    assert_int_equal(pen_packer_add_bytes(packer, "b", &plain, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_bytes(packer, "a", &plain, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_link(packer, "c", &plain, "", &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_folder(packer, "d", &plain, &err), 0);
    assert_int_equal(pen_packer_add_folder(packer, "d/e", &plain, &err), 0);
    assert_int_equal(pen_packer_add_bytes(packer, "d/f", &plain, "", 0, &err), 0);
    assert_int_equal(pen_packer_add_bytes(packer, "d/x/g", &plain, "", 0, &err), PEN_EINVAL);
    assert_int_equal(pen_packer_add_bytes(packer, "da/g", &plain, "", 0, &err), PEN_EINVAL);
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
        TEST(test_globs),
        TEST(test_empty_folder),
        TEST(test_special_files_are_left_out),
        TEST(test_links_stay_links),
        TEST(test_times_and_modes),
        TEST(test_times_cost_no_content),
        TEST(test_deeper_than_path_max),
        TEST(test_bad_places_elsewhere),
        TEST(test_packer_takes_only_paths_in_order),
        TEST(test_two_versions_share_their_chunks),
        TEST(test_64_mib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
