/* The journal: what was written is read back; torn at every byte; lost in the middle; compacted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/spool/crc32c.h"
#include "agent/spool/journal.h"
#include "common/base/cleanup.h"
#include "common/io/file.h"

enum { CAPACITY = 16 * 1024, FIRST_RECORD = 4096 };

struct loaded {
    uint64_t fences[4096];
    size_t count;
};

static int on_record(void *context, Pen__JournalRecord *record, struct pen_error *err)
{
    (void)err;
    struct loaded *loaded = context;
    assert_int_equal(record->what_case, PEN__JOURNAL_RECORD__WHAT_TOMB);
    assert_in_range(loaded->count, 0, 4095);
    loaded->fences[loaded->count++] = record->tomb->fence;
    return 0;
}

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/pen-journal-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return pen_dir_remove_tree(folder, NULL);
}

static int open_journal(struct loaded *loaded, struct pen_journal **ret_journal)
{
    struct pen_error err = {0};
    loaded->count = 0;
    return pen_journal_open(folder, "spool-1", "machine-1", CAPACITY, on_record, loaded,
                            ret_journal, &err);
}

static void append(struct pen_journal *journal, uint64_t fence)
{
    Pen__JournalRecord record = PEN__JOURNAL_RECORD__INIT;
    Pen__AttemptTomb tomb = PEN__ATTEMPT_TOMB__INIT;
    tomb.has_fence = true;
    tomb.fence = fence;
    record.what_case = PEN__JOURNAL_RECORD__WHAT_TOMB;
    record.tomb = &tomb;
    assert_int_equal(pen_journal_append(journal, &record, NULL), 0);
}

static void write_some(uint64_t from, uint64_t to, bool sync_each)
{
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), 0);
    for (uint64_t fence = from; fence <= to; fence++) {
        append(journal, fence);
        if (sync_each) {
            assert_int_equal(pen_journal_write(journal, NULL), 0);
            assert_int_equal(pen_journal_sync(journal, NULL), 0);
        }
    }
    assert_int_equal(pen_journal_write(journal, NULL), 0);
}

static void change_bytes(size_t offset, const void *bytes, size_t size)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/journal.0", folder);
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    assert_int_equal(pen_file_open(path, O_RDWR, 0, &fd, NULL), 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), size);
}

static size_t read_bytes(uint8_t *bytes, size_t size)
{
    char path[96];
    (void)snprintf(path, sizeof path, "%s/journal.0", folder);
    PEN_CLEANUP(pen_fd_close) int fd = -1;
    assert_int_equal(pen_file_open(path, O_RDONLY, 0, &fd, NULL), 0);
    return (size_t)pread(fd, bytes, size, 0);
}

static void test_checksum(void **state)
{
    (void)state;
    assert_int_equal(pen_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(pen_crc32c(pen_crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

static void test_read_back(void **state)
{
    (void)state;
    struct loaded loaded;
    write_some(1, 10, true);
    write_some(11, 20, false);
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), 0);
    assert_int_equal(loaded.count, 20);
    assert_int_equal(loaded.fences[19], 20);
    assert_string_equal(pen_journal_spool_id(journal), "spool-1");
    assert_int_equal(pen_journal_seq(journal), 21); /* the first one opened the spool */
}

static void test_only_one_process(void **state)
{
    (void)state;
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *first = NULL;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *second = NULL;
    assert_int_equal(open_journal(&loaded, &first), 0);
    assert_int_equal(open_journal(&loaded, &second), PEN_ECONFLICT);
}

/* The last write reached the disk only up to some byte: what was before it is there, it is not, and
 * writing goes on. */
static void test_torn_at_every_byte(void **state)
{
    (void)state;
    write_some(1, 3, true);
    static uint8_t whole[CAPACITY];
    static uint8_t before[CAPACITY];
    assert_int_equal(read_bytes(before, sizeof before), CAPACITY);
    write_some(4, 5, false);
    assert_int_equal(read_bytes(whole, sizeof whole), CAPACITY);
    size_t from = 0;
    size_t to = CAPACITY;
    while (before[from] == whole[from])
        from++;
    while (before[to - 1] == whole[to - 1])
        to--;
    assert_true(to > from + 40);
    for (size_t cut = from; cut < to; cut++) {
        change_bytes(0, whole, cut);
        change_bytes(cut, before + cut, CAPACITY - cut);
        struct loaded loaded;
        PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
        assert_int_equal(open_journal(&loaded, &journal), 0);
        assert_in_range(loaded.count, 3, 4);
        size_t kept = loaded.count;
        append(journal, 77);
        assert_int_equal(pen_journal_write(journal, NULL), 0);
        pen_journal_close(&journal);
        assert_int_equal(open_journal(&loaded, &journal), 0);
        assert_int_equal(loaded.count, kept + 1);
        assert_int_equal(loaded.fences[kept], 77);
    }
}

/* The same write, but its second half reached the disk and its first did not. That is no loss: it
 * was never durable. And it must not come back later. */
static void test_torn_out_of_order(void **state)
{
    (void)state;
    write_some(1, 3, true);
    static uint8_t before[CAPACITY];
    assert_int_equal(read_bytes(before, sizeof before), CAPACITY);
    write_some(4, 9, false);
    size_t hole = FIRST_RECORD;
    static uint8_t whole[CAPACITY];
    assert_int_equal(read_bytes(whole, sizeof whole), CAPACITY);
    while (before[hole] == whole[hole])
        hole++;
    change_bytes(hole, before + hole, 8);
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), 0);
    assert_int_equal(loaded.count, 3);
    append(journal, 4); /* as long as the one that is gone: the next would join it */
    assert_int_equal(pen_journal_write(journal, NULL), 0);
    pen_journal_close(&journal);
    assert_int_equal(open_journal(&loaded, &journal), 0);
    assert_int_equal(loaded.count, 4);
}

/* A record that was durable is bad: nothing is guessed. */
static void test_lost_in_the_middle(void **state)
{
    (void)state;
    write_some(1, 5, true);
    static uint8_t bytes[CAPACITY];
    assert_int_equal(read_bytes(bytes, sizeof bytes), CAPACITY);
    size_t first = FIRST_RECORD + 28 + bytes[FIRST_RECORD]; /* behind the one that opens */
    change_bytes(first + 30, "x", 1);
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), PEN_ECORRUPT);
}

static void test_compaction(void **state)
{
    (void)state;
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), 0);
    Pen__JournalRecord record = PEN__JOURNAL_RECORD__INIT;
    Pen__AttemptTomb tomb = PEN__ATTEMPT_TOMB__INIT;
    tomb.has_fence = true;
    record.what_case = PEN__JOURNAL_RECORD__WHAT_TOMB;
    record.tomb = &tomb;
    Pen__JournalRecord *live[] = {&record};
    int compactions = 0;
    uint64_t seq = 0;
    for (uint64_t fence = 1; fence <= 2000; fence++) {
        append(journal, fence);
        assert_int_equal(pen_journal_write(journal, NULL), 0);
        if (!pen_journal_is_full(journal))
            continue;
        tomb.fence = fence;
        assert_int_equal(pen_journal_compact(journal, live, 1, NULL), 0);
        compactions++;
        assert_true(pen_journal_seq(journal) > seq); /* never goes back */
        seq = pen_journal_seq(journal);
    }
    assert_true(compactions > 2);
    seq = pen_journal_seq(journal);
    pen_journal_close(&journal);
    assert_int_equal(open_journal(&loaded, &journal), 0);
    assert_int_equal(pen_journal_seq(journal), seq);
    assert_int_equal(loaded.fences[loaded.count - 1], 2000);
    assert_in_range(loaded.count, 1, 400);
    for (size_t i = 1; i < loaded.count; i++)
        assert_int_equal(loaded.fences[i], loaded.fences[i - 1] + 1);
}

/* More in one turn than the file has room for. */
static void test_grows(void **state)
{
    (void)state;
    write_some(1, 3000, false);
    struct loaded loaded;
    PEN_CLEANUP(pen_journal_close) struct pen_journal *journal = NULL;
    assert_int_equal(open_journal(&loaded, &journal), 0);
    assert_int_equal(loaded.count, 3000);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(test_checksum),          ROW(test_read_back),
        ROW(test_only_one_process),  ROW(test_torn_at_every_byte),
        ROW(test_torn_out_of_order), ROW(test_lost_in_the_middle),
        ROW(test_compaction),        ROW(test_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
