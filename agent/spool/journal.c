#include "agent/spool/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/spool/crc32c.h"
#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/file.h"
#include "common/wire/wire.h"

enum {
    HEADER_SIZE = 4096, /* a page of its own: writing it harms no record */
    RECORD_HEADER = 28,
    ZERO_STEP = 256 * 1024,
};

static const char magic[8] = {'P', 'E', 'N', 'J', 'R', 'N', 'L', '1'};

struct journal_file {
    char *path;
    int fd;
    uint64_t capacity;
    uint64_t generation; /* 0: no valid header */
    uint64_t first_seq;
};

struct pen_journal {
    struct journal_file files[2];
    unsigned current;
    int lock_fd;
    uint64_t offset; /* where the next record goes */
    uint64_t seq, written_seq, synced_seq;
    struct pen_buf pending;
    char *folder;
    char *spool_id;
    char *machine_id;
};

struct record_header {
    uint32_t length;
    uint32_t type;
    uint64_t seq;
    uint64_t synced_seq;
    uint32_t crc;
};

/* ---- bytes */

static void put_number(uint8_t *at, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, unsigned size)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

static struct record_header header_read(const uint8_t *at)
{
    return (struct record_header){
        .length = (uint32_t)get_number(at, 4),
        .type = (uint32_t)get_number(at + 4, 4),
        .seq = get_number(at + 8, 8),
        .synced_seq = get_number(at + 16, 8),
        .crc = (uint32_t)get_number(at + 24, 4),
    };
}

static uint32_t record_crc(uint64_t generation, const uint8_t *header, const uint8_t *payload,
                           size_t size)
{
    uint8_t bytes[8];
    put_number(bytes, generation, 8);
    uint32_t crc = pen_crc32c(0, bytes, sizeof bytes);
    crc = pen_crc32c(crc, header, 24);
    return pen_crc32c(crc, payload, size);
}

/* Whether a whole valid record of this generation, with a number above `after`, is at `at`. */
static bool record_valid(uint64_t generation, const uint8_t *at, size_t left, uint64_t after)
{
    if (left < RECORD_HEADER)
        return false;
    struct record_header header = header_read(at);
    return header.length > 0 && header.length <= PEN_JOURNAL_RECORD_MAX &&
           header.length <= left - RECORD_HEADER && header.seq > after && header.type != 0 &&
           record_crc(generation, at, at + RECORD_HEADER, header.length) == header.crc;
}

static int record_put(struct pen_buf *bytes, uint64_t generation, Pen__JournalRecord *record,
                      uint64_t seq, uint64_t synced_seq, struct pen_error *err)
{
    record->has_spool_seq = true;
    record->spool_seq = seq;
    size_t size = protobuf_c_message_get_packed_size(&record->base);
    if (size > PEN_JOURNAL_RECORD_MAX)
        return pen_fail(err, PEN_ELIMIT, "a journal record of %zu bytes is too large", size);
    uint8_t *at = pen_buf_reserve(bytes, RECORD_HEADER + size);
    if (at == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a journal record");
    put_number(at, size, 4);
    put_number(at + 4, (uint64_t)record->what_case, 4);
    put_number(at + 8, seq, 8);
    put_number(at + 16, synced_seq, 8);
    (void)protobuf_c_message_pack(&record->base, at + RECORD_HEADER);
    put_number(at + 24, record_crc(generation, at, at + RECORD_HEADER, size), 4);
    pen_buf_added(bytes, RECORD_HEADER + size);
    return 0;
}

/* ---- files */

static int write_at(const struct journal_file *file, const void *bytes, size_t size,
                    uint64_t offset, struct pen_error *err)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t put = pwrite(file->fd, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pen_fail_errno(err, "cannot write '%s'", file->path);
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

static int fill_with_zeros(const struct journal_file *file, uint64_t from, uint64_t to,
                           struct pen_error *err)
{
    PEN_CLEANUP(pen_free) uint8_t *zeros = calloc(1, ZERO_STEP);
    if (zeros == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to make '%s'", file->path);
    while (from < to) {
        size_t step = to - from < ZERO_STEP ? (size_t)(to - from) : ZERO_STEP;
        int rc = write_at(file, zeros, step, from, err);
        if (rc < 0)
            return rc;
        from += step;
    }
    return 0;
}

static int sync_file(const struct journal_file *file, struct pen_error *err)
{
    return fdatasync(file->fd) < 0 ? pen_fail_errno(err, "cannot sync '%s'", file->path) : 0;
}

static int grow_file(struct journal_file *file, uint64_t capacity, struct pen_error *err)
{
    if (capacity <= file->capacity)
        return 0;
    if (capacity > PEN_JOURNAL_FILE_MAX)
        return pen_fail(err, PEN_ELIMIT, "'%s' would grow over %d bytes", file->path,
                        PEN_JOURNAL_FILE_MAX);
    int rc = fill_with_zeros(file, file->capacity, capacity, err);
    if (rc == 0)
        rc = sync_file(file, err);
    if (rc == 0)
        file->capacity = capacity;
    return rc;
}

static int write_header(struct journal_file *file, uint64_t generation, uint64_t first_seq,
                        struct pen_error *err)
{
    uint8_t bytes[HEADER_SIZE] = {0};
    memcpy(bytes, magic, sizeof magic);
    put_number(bytes + 8, generation, 8);
    put_number(bytes + 16, first_seq, 8);
    put_number(bytes + 24, pen_crc32c(0, bytes, 24), 4);
    int rc = write_at(file, bytes, sizeof bytes, 0, err);
    if (rc == 0)
        rc = sync_file(file, err);
    if (rc == 0) {
        file->generation = generation;
        file->first_seq = first_seq;
    }
    return rc;
}

static int open_file(const char *folder, unsigned index, struct journal_file *file,
                     struct pen_error *err)
{
    file->path = pen_strdup_printf("%s/journal.%u", folder, index);
    if (file->path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to open the journal");
    int rc = pen_file_open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &file->fd, err);
    if (rc < 0)
        return rc;
    struct stat facts;
    if (fstat(file->fd, &facts) < 0)
        return pen_fail_errno(err, "cannot look at '%s'", file->path);
    if (facts.st_size > PEN_JOURNAL_FILE_MAX)
        return pen_fail(err, PEN_ECORRUPT, "'%s' is too large to be a journal", file->path);
    file->capacity = (uint64_t)facts.st_size;
    uint8_t bytes[32];
    if (pread(file->fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
        memcmp(bytes, magic, sizeof magic) != 0 ||
        get_number(bytes + 24, 4) != pen_crc32c(0, bytes, 24))
        return 0;
    file->generation = get_number(bytes + 8, 8);
    file->first_seq = get_number(bytes + 16, 8);
    return 0;
}

/* ---- opening */

/* The first bad record is at `from`. See whether what follows was never durable. */
static int check_end(const struct journal_file *file, const uint8_t *bytes, size_t from,
                     size_t size, uint64_t last_seq, size_t *ret_dirty_end, struct pen_error *err)
{
    size_t dirty_end = from;
    for (size_t at = from; at + RECORD_HEADER < size; at++) {
        if (bytes[at] == 0 && bytes[at + 1] == 0 && bytes[at + 2] == 0)
            continue; /* no record is that short, or that long */
        if (!record_valid(file->generation, bytes + at, size - at, last_seq))
            continue;
        struct record_header header = header_read(bytes + at);
        if (header.synced_seq > last_seq)
            return pen_fail(err, PEN_ECORRUPT,
                            "'%s' has a bad record %" PRIu64
                            " at byte %zu, and good ones behind it "
                            "(%" PRIu64 "): the disk has lost what was written; move the folder "
                            "away and look",
                            file->path, last_seq + 1, from, header.seq);
        dirty_end = at + RECORD_HEADER + header.length;
        at = dirty_end - 1;
    }
    *ret_dirty_end = dirty_end;
    return 0;
}

static int load_record(struct pen_journal *self, const uint8_t *payload, size_t size,
                       pen_journal_load_f load, void *context, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__JournalRecord *record = NULL;
    int rc = pen_wire_unpack(&pen__journal_record__descriptor, payload, size, &pen_wire_stored,
                             (ProtobufCMessage **)&record, err);
    if (rc < 0)
        return pen_fail(err, PEN_ECORRUPT, "record %" PRIu64 " of '%s' cannot be read",
                        self->seq + 1, self->files[self->current].path);
    if (record->what_case == PEN__JOURNAL_RECORD__WHAT_OPENED && self->spool_id == NULL) {
        self->spool_id = TAKE_PTR(record->opened->spool_id);
        self->machine_id = TAKE_PTR(record->opened->machine_id);
        return self->spool_id == NULL ? pen_fail(err, PEN_ECORRUPT, "the journal has no id") : 0;
    }
    return load(context, record, err);
}

static int load_all(struct pen_journal *self, pen_journal_load_f load, void *context,
                    struct pen_error *err)
{
    struct journal_file *file = &self->files[self->current];
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_file_read(file->path, PEN_JOURNAL_FILE_MAX, &bytes, err);
    if (rc < 0)
        return rc;
    size_t at = HEADER_SIZE;
    self->seq = file->first_seq - 1;
    while (at < bytes.size &&
           record_valid(file->generation, bytes.data + at, bytes.size - at, self->seq)) {
        struct record_header header = header_read(bytes.data + at);
        if (header.seq != self->seq + 1)
            break;
        rc = load_record(self, bytes.data + at + RECORD_HEADER, header.length, load, context, err);
        if (rc < 0)
            return rc;
        self->seq = header.seq;
        at += RECORD_HEADER + header.length;
    }
    size_t dirty_end = at;
    if ((rc = check_end(file, bytes.data, at, bytes.size, self->seq, &dirty_end, err)) < 0)
        return rc;
    /* Records of a torn end must not join what will be written before them. */
    if (dirty_end > at && (rc = fill_with_zeros(file, at, dirty_end, err)) < 0)
        return rc;
    self->offset = at;
    self->written_seq = self->seq;
    if ((rc = sync_file(file, err)) < 0)
        return rc;
    self->synced_seq = self->seq;
    return self->spool_id == NULL
               ? pen_fail(err, PEN_ECORRUPT, "'%s' has no first record", file->path)
               : 0;
}

static int make(struct pen_journal *self, const char *spool_id, const char *machine_id,
                size_t capacity, struct pen_error *err)
{
    self->spool_id = strdup(spool_id);
    self->machine_id = strdup(machine_id);
    if (self->spool_id == NULL || self->machine_id == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to make the journal");
    for (unsigned i = 0; i < 2; i++) {
        int rc = grow_file(&self->files[i], capacity, err);
        if (rc < 0)
            return rc;
    }
    self->current = 1; /* compaction of nothing makes file 0 the first */
    int rc = pen_journal_compact(self, NULL, 0, err);
    return rc < 0 ? rc : pen_dir_sync(self->folder, err);
}

static int lock_folder(struct pen_journal *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *path = pen_strdup_printf("%s/lock", self->folder);
    if (path == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to open the journal");
    int rc = pen_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &self->lock_fd, err);
    if (rc < 0)
        return rc;
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return pen_fail(err, PEN_ECONFLICT, "'%s' is in use by another agent", self->folder);
    return 0;
}

int pen_journal_open(const char *folder, const char *spool_id, const char *machine_id,
                     size_t capacity, pen_journal_load_f load, void *context,
                     struct pen_journal **ret_journal, struct pen_error *err)
{
    CHECK(capacity >= 2 * HEADER_SIZE);
    PEN_CLEANUP(pen_journal_close) struct pen_journal *self = calloc(1, sizeof *self);
    if (self == NULL || (self->folder = strdup(folder)) == NULL) {
        free(TAKE_PTR(self));
        return pen_fail(err, PEN_ENOMEM, "no memory to open the journal");
    }
    self->lock_fd = self->files[0].fd = self->files[1].fd = -1;
    int rc;
    if ((rc = lock_folder(self, err)) < 0 ||
        (rc = open_file(folder, 0, &self->files[0], err)) < 0 ||
        (rc = open_file(folder, 1, &self->files[1], err)) < 0)
        return rc;
    struct journal_file *files = self->files;
    if (files[0].generation == 0 && files[1].generation == 0) {
        /* A first start that was cut off has left no header that ever counted. The capacity tells
         * it from a journal that lost both its headers. */
        uint8_t byte = 0;
        if (pread(files[0].fd, &byte, 1, 0) == 1 && byte != 0)
            return pen_fail(err, PEN_ECORRUPT,
                            "'%s' has no valid header: move the folder away and "
                            "look",
                            files[0].path);
        rc = make(self, spool_id, machine_id, capacity, err);
    } else {
        self->current = files[1].generation > files[0].generation ? 1 : 0;
        rc = load_all(self, load, context, err);
    }
    if (rc < 0)
        return rc;
    *ret_journal = TAKE_PTR(self);
    return 0;
}

void pen_journal_close(struct pen_journal **self_p)
{
    struct pen_journal *self = *self_p;
    if (self == NULL)
        return;
    for (unsigned i = 0; i < 2; i++) {
        pen_fd_close(&self->files[i].fd);
        free(self->files[i].path);
    }
    pen_fd_close(&self->lock_fd);
    pen_buf_release(&self->pending);
    free(self->folder);
    free(self->spool_id);
    free(self->machine_id);
    free(self);
    *self_p = NULL;
}

/* ---- use */

const char *pen_journal_spool_id(const struct pen_journal *self)
{
    return self->spool_id;
}

uint64_t pen_journal_seq(const struct pen_journal *self)
{
    return self->seq;
}

bool pen_journal_is_full(const struct pen_journal *self)
{
    return self->offset > self->files[self->current].capacity / 4 * 3;
}

int pen_journal_append(struct pen_journal *self, Pen__JournalRecord *record, struct pen_error *err)
{
    int rc = record_put(&self->pending, self->files[self->current].generation, record,
                        self->seq + 1, self->synced_seq, err);
    if (rc == 0)
        self->seq++;
    return rc;
}

int pen_journal_write(struct pen_journal *self, struct pen_error *err)
{
    if (self->pending.size == 0)
        return 0;
    struct journal_file *file = &self->files[self->current];
    uint64_t end = self->offset + self->pending.size;
    int rc = end > file->capacity ? grow_file(file, 2 * end, err) : 0;
    if (rc == 0)
        rc = write_at(file, self->pending.data, self->pending.size, self->offset, err);
    if (rc < 0)
        return rc;
    self->offset = end;
    self->written_seq = self->seq;
    pen_buf_clear(&self->pending);
    return 0;
}

int pen_journal_sync(struct pen_journal *self, struct pen_error *err)
{
    if (self->synced_seq == self->written_seq)
        return 0;
    int rc = sync_file(&self->files[self->current], err);
    if (rc == 0)
        self->synced_seq = self->written_seq;
    return rc;
}

static int put_opened(const struct pen_journal *self, struct pen_buf *bytes, uint64_t generation,
                      uint64_t seq, struct pen_error *err)
{
    Pen__JournalRecord record = PEN__JOURNAL_RECORD__INIT;
    Pen__SpoolOpened opened = PEN__SPOOL_OPENED__INIT;
    opened.spool_id = self->spool_id;
    opened.machine_id = self->machine_id;
    record.what_case = PEN__JOURNAL_RECORD__WHAT_OPENED;
    record.opened = &opened;
    return record_put(bytes, generation, &record, seq, seq - 1, err);
}

int pen_journal_compact(struct pen_journal *self, Pen__JournalRecord *const *records, size_t count,
                        struct pen_error *err)
{
    CHECK(self->pending.size == 0);
    struct journal_file *next = &self->files[1 - self->current];
    uint64_t generation = self->files[self->current].generation + 1;
    uint64_t first_seq = self->seq + 1;
    uint64_t seq = first_seq;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = put_opened(self, &bytes, generation, seq, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = record_put(&bytes, generation, records[i], ++seq, first_seq - 1, err);
    /* Room to live on until the next compaction. */
    if (rc == 0 && HEADER_SIZE + bytes.size > next->capacity / 2)
        rc = grow_file(next, 4 * (HEADER_SIZE + bytes.size), err);
    if (rc == 0)
        rc = write_at(next, bytes.data, bytes.size, HEADER_SIZE, err);
    if (rc == 0)
        rc = sync_file(next, err);
    if (rc == 0)
        rc = write_header(next, generation, first_seq, err);
    if (rc < 0)
        return rc;
    self->current = 1 - self->current;
    self->offset = HEADER_SIZE + bytes.size;
    self->seq = self->written_seq = self->synced_seq = seq;
    return 0;
}
