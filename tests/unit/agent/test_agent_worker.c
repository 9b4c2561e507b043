/* agent/cache/worker.h: what is done for one attempt holds up no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "agent/cache/worker.h"
#include "common/base/cleanup.h"
#include "common/io/clock.h"
#include "common/io/file.h"

enum { PATIENCE_MS = 60 * 1000 };

static char root[64];
static atomic_bool may_clean;

static bool clean_slowly(const char *folder, struct pen_error *err)
{
    (void)folder;
    (void)err;
    while (!atomic_load(&may_clean))
        (void)poll(NULL, 0, 1);
    return true;
}

static char *path_in(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    char *copy = strdup(path);
    assert_non_null(copy);
    return copy;
}

static void post(struct pen_worker *worker, struct pen_job *job)
{
    assert_int_equal(pen_worker_post(worker, job, NULL), 0);
}

static void post_clean(struct pen_worker *worker)
{
    struct pen_job *job = pen_job_create(PEN_JOB_CLEAN, 0);
    job->folder = path_in("trash");
    job->clean = clean_slowly;
    post(worker, job);
}

/* A file that takes hours to be packed. */
static void post_pack(struct pen_worker *worker, uint64_t fence)
{
    struct pen_job *job = pen_job_create(PEN_JOB_PACK, fence);
    job->folder = path_in("src");
    job->wishes = calloc(1, sizeof *job->wishes);
    job->wishes[0] = malloc(sizeof **job->wishes);
    pen__artifact_wish__init(job->wishes[0]);
    job->wishes[0]->name = strdup("Out");
    job->wishes_count = 1;
    post(worker, job);
}

static void post_unpack(struct pen_worker *worker, uint64_t fence)
{
    struct pen_job *job = pen_job_create(PEN_JOB_UNPACK, fence);
    job->folder = path_in("in");
    post(worker, job);
}

static struct pen_job *take(struct pen_worker *worker)
{
    struct pen_job *job = NULL;
    int64_t end = pen_clock_monotonic_ms() + PATIENCE_MS;
    while ((job = pen_worker_take(worker)) == NULL && pen_clock_monotonic_ms() < end) {
        struct pollfd wait = {.fd = pen_worker_fd(worker), .events = POLLIN};
        (void)poll(&wait, 1, 100);
    }
    assert_non_null(job);
    return job;
}

static void expect(struct pen_worker *worker, enum pen_job_kind kind, uint64_t fence, int code)
{
    struct pen_job *job = take(worker);
    assert_int_equal(job->kind, kind);
    assert_int_equal(job->fence, fence);
    assert_int_equal(job->error.code, code);
    pen_job_destroy(&job);
}

static void test_nobody_waits_for_others(void **state)
{
    (void)state;
    struct pen_worker *worker = NULL;
    PEN_CLEANUP(pen_free) char *blobs = path_in("blobs");
    PEN_CLEANUP(pen_free) char *large = path_in("src/large");
    assert_int_equal(truncate(large, (off_t)1 << 40), 0);
    assert_int_equal(pen_worker_start(blobs, &worker, NULL), 0);
    post_clean(worker);
    for (uint64_t fence = 1; fence <= 3; fence++)
        post_pack(worker, fence);
    /* more attempts than there are lanes come and go meanwhile, one after the other */
    for (uint64_t fence = 4; fence < 4 + 3 * (uint64_t)PEN_WORKER_LANES_MAX; fence++) {
        post_unpack(worker, fence); /* of a manifest that is not here */
        expect(worker, PEN_JOB_UNPACK, fence, PEN_ENOTFOUND);
        pen_worker_release(worker, fence);
    }
    post_unpack(worker, 2); /* the same attempt's jobs keep their order */
    atomic_store(&may_clean, true);
    expect(worker, PEN_JOB_CLEAN, 0, 0);
    assert_int_equal(truncate(large, 0), 0);
    size_t packed[4] = {0};
    size_t unpacked = 0;
    for (int i = 0; i < 4; i++) {
        struct pen_job *job = take(worker);
        if (job->kind == PEN_JOB_PACK) {
            packed[job->fence]++;
            assert_int_equal(job->error.code, PEN_EIO); /* it became shorter */
        } else {
            unpacked++;
            assert_int_equal(packed[2], 1);
        }
        pen_job_destroy(&job);
    }
    assert_int_equal(unpacked, 1);
    assert_int_equal(packed[1] + packed[2] + packed[3], 3);
    pen_worker_stop(&worker);
}

/* More attempts at once than lanes: they share, and all is done. */
static void test_more_attempts_than_lanes(void **state)
{
    (void)state;
    enum { ATTEMPTS = 3 * PEN_WORKER_LANES_MAX };
    struct pen_worker *worker = NULL;
    PEN_CLEANUP(pen_free) char *blobs = path_in("blobs");
    assert_int_equal(pen_worker_start(blobs, &worker, NULL), 0);
    for (uint64_t fence = 1; fence <= ATTEMPTS; fence++)
        post_unpack(worker, fence);
    for (uint64_t fence = 1; fence <= ATTEMPTS; fence++)
        pen_worker_release(worker, fence); /* given up: their jobs come back all the same */
    for (int i = 0; i < ATTEMPTS; i++) {
        struct pen_job *job = take(worker);
        pen_job_destroy(&job);
    }
    assert_null(pen_worker_take(worker));
    post_unpack(worker, 1);
    pen_worker_stop(&worker); /* with work that nobody has taken */
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof root, "/tmp/pen-test-worker-XXXXXX");
    assert_non_null(mkdtemp(root));
    PEN_CLEANUP(pen_free) char *source = path_in("src");
    PEN_CLEANUP(pen_free) char *large = path_in("src/large");
    assert_int_equal(pen_dir_make(source, 0700, NULL), 0);
    assert_int_equal(pen_file_replace_unsynced(large, "", 0, 0600, NULL), 0);
    atomic_store(&may_clean, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return pen_dir_remove_tree(root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_waits_for_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_attempts_than_lanes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
