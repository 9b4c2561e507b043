/* The store under stress: killed, on a full disk, read while it is written. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/store/store_fixture.h"

static void test_log_stays_bounded(void **state)
{
    struct fixture *fixture = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/penstock.db-wal", fixture->dir);
    off_t largest = 0;
    uint64_t seq = 0;
    for (int i = 0; i < 400; i++) {
        struct batch batch = {0};
        for (int j = 0; j < 40; j++) {
            char key[24];
            seq++;
            (void)snprintf(key, sizeof key, "%016" PRIx64, seq * 0x9e3779b97f4a7c15u);
            struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_ATTEMPT, key);
            row->body = calloc(1, 3000);
            row->body_size = 3000;
        }
        commit(fixture, &batch);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        largest = status.st_size > largest ? status.st_size : largest;
    }
    assert_in_range(largest, 8 << 20, 24 << 20); /* 48 MB of bodies went through it */
    assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
    assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
}

/* A reader's thread: as many live rows as facts in every state that it sees. */
struct watcher {
    struct pen_reader *reader;
    atomic_bool stop;
    uint64_t states;
    uint64_t faults;
};

static int count_row(void *context, const char *key, const ProtobufCMessage *row,
                     struct pen_error *err)
{
    (void)key;
    (void)row;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static int count_fact(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)fact;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static void *watch(void *context)
{
    struct watcher *self = context;
    struct pen_list_query query = {.kind = PEN__ROW_KIND__ROW_EXECUTION, .limit = 10000};
    while (!atomic_load(&self->stop)) {
        uint64_t rows = 0;
        uint64_t facts = 0;
        int rc = pen_reader_begin(self->reader, NULL);
        if (rc == 0)
            rc = pen_reader_list(self->reader, &query, count_row, &rows, NULL);
        if (rc == 0)
            rc = pen_reader_facts(self->reader, NULL, NULL, 0, 10000, count_fact, &facts, NULL);
        pen_reader_end(self->reader);
        self->states++;
        self->faults += rc != 0 || rows != facts;
    }
    return NULL;
}

static void test_readers_see_whole_commits(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = {.reader = reader_of(fixture)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch, &watcher), 0);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        struct batch batch = {0};
        char key[24];
        (void)snprintf(key, sizeof key, "%" PRIu64, seq);
        add_fact(&batch, seq, "web", key);
        add_execution(&batch, key, "web", seq, true);
        commit(fixture, &batch);
        if (seq % 100 == 0)
            assert_int_equal(pen_store_checkpoint(fixture->store, NULL), 0);
    }
    atomic_store(&watcher.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(watcher.states > 0);
    assert_int_equal(watcher.faults, 0);
    pen_reader_close(&watcher.reader);
}

/* The child commits facts one by one and writes each number to the pipe after the commit. */
_Noreturn static void commit_for_ever(const char *dir, int acknowledge_fd, uint64_t first)
{
    struct pen_store *store = NULL;
    if (pen_store_open(dir, &store, NULL) < 0)
        _exit(1);
    for (uint64_t seq = first;; seq++) {
        struct batch batch = {0};
        char key[24];
        (void)snprintf(key, sizeof key, "%020" PRIu64, seq);
        add_fact(&batch, seq, "web", "e1");
        add_execution(&batch, key, "web", seq, true);
        if (pen_store_commit(store, &batch.out, NULL) < 0)
            _exit(2);
        batch_release(&batch);
        if (write(acknowledge_fd, &seq, sizeof seq) != (ssize_t)sizeof seq)
            _exit(3);
    }
}

static int last_seq(void *context, const Pen__Fact *fact, struct pen_error *err)
{
    (void)err;
    uint64_t *last = context;
    assert_int_equal(fact->seq, *last + 1); /* no gap: a prefix */
    *last = fact->seq;
    return 0;
}

static int count_live(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                      struct pen_error *err)
{
    (void)kind;
    (void)body;
    (void)size;
    (void)err;
    ++*(uint64_t *)context;
    return 0;
}

static void test_kill_loses_nothing_acknowledged(void **state)
{
    struct fixture *fixture = *state;
    pen_store_close(&fixture->store);
    uint64_t last = 0;
    for (int round = 0; round < 8; round++) {
        int pipe_fds[2];
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            commit_for_ever(fixture->dir, pipe_fds[1], last + 1);
        close(pipe_fds[1]);
        uint64_t acknowledged = last;
        int wanted = 20 + round * 37;
        for (int i = 0; i < wanted; i++)
            assert_int_equal(read(pipe_fds[0], &acknowledged, sizeof acknowledged),
                             sizeof acknowledged);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(pipe_fds[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        close(pipe_fds[0]);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));

        struct pen_store *store = NULL;
        assert_int_equal(pen_store_open(fixture->dir, &store, NULL), 0);
        struct pen_reader *reader = reader_of(fixture);
        last = 0;
        assert_int_equal(pen_reader_facts(reader, NULL, NULL, 0, 1000000, last_seq, &last, NULL),
                         0);
        assert_in_range(last, acknowledged, acknowledged + 1);
        uint64_t live = 0;
        assert_int_equal(pen_store_load_live(store, count_live, &live, NULL), 0);
        assert_int_equal(live, last); /* facts and rows of a commit come together */
        pen_reader_close(&reader);
        pen_store_close(&store);
    }
}

/* In a child with a mount namespace of its own: a disk of 1 MiB. Exit status 0: all as it should
 * be, 77: no right to mount. */
static int fill_disk(const char *dir)
{
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
        return 77;
    struct pen_store *store = NULL;
    if (pen_store_open(dir, &store, NULL) < 0)
        return 1;
    uint64_t seq = 0;
    int rc = 0;
    while (rc == 0 && seq < 1000) {
        struct batch batch = {0};
        add_fact(&batch, ++seq, "web", NULL);
        struct pen_row *row = add_row(&batch, PEN__ROW_KIND__ROW_EXECUTION, "e");
        row->body = calloc(1, 20000);
        row->body_size = 20000;
        rc = pen_store_commit(store, &batch.out, NULL);
        batch_release(&batch);
    }
    if (rc != PEN_ENOSPACE || seq < 5)
        return 2;
    pen_store_close(&store);
    if (pen_store_open(dir, &store, NULL) < 0)
        return 3;
    struct pen_reader *reader = NULL;
    if (pen_reader_open(dir, &reader, NULL) < 0)
        return 4;
    uint64_t last = 0;
    if (pen_reader_facts(reader, NULL, NULL, 0, 100000, last_seq, &last, NULL) < 0)
        return 5;
    pen_reader_close(&reader);
    pen_store_close(&store);
    return last == seq - 1 ? 0 : 6;
}

static void test_full_disk(void **state)
{
    struct fixture *fixture = *state;
    pen_store_close(&fixture->store);
    assert_int_equal(pen_dir_remove_tree(fixture->dir, NULL), 0);
    assert_int_equal(mkdir(fixture->dir, 0700), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(fill_disk(fixture->dir));
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log_stays_bounded),
        TEST(test_readers_see_whole_commits),
        TEST(test_kill_loses_nothing_acknowledged),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
