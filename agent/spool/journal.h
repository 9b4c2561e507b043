/* agent/spool/journal.h - what the agent must still know after any crash
 *
 * Two files, journal.0 and journal.1, filled with zeros beforehand so that a sync moves data only
 * (overwriting syncs more than twice as fast as appending). One is current; compaction writes the
 * records that still matter to the other and then makes it current by a higher generation in its
 * header. A record:
 *
 *     length 4 | type 4 | spool_seq 8 | synced_seq 8 | crc32c 4 | packed JournalRecord
 *
 * little-endian; the checksum covers the generation and all of the record, so that records of an
 * earlier use of the file are not records. synced_seq is the last record that was known durable
 * when this one was written. At opening, the first bad record ends the journal when what follows
 * was never durable (a torn end). When a later record proves that the bad one was durable once, the
 * disk has lost it: the journal is refused (PEN_ECORRUPT), and a person has to look.
 */
#ifndef PEN_AGENT_SPOOL_JOURNAL_H
#define PEN_AGENT_SPOOL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "spool.pb-c.h"

enum {
    PEN_JOURNAL_CAPACITY = 4 * 1024 * 1024,    /* of each file at first: some 5,000 attempts */
    PEN_JOURNAL_RECORD_MAX = 1024 * 1024,      /* a control frame fits four times */
    PEN_JOURNAL_FILE_MAX = 1024 * 1024 * 1024, /* more than this is no journal */
};

struct pen_journal;

/* Called for each record, in order; may take parts of it. A negative return ends the opening. */
typedef int (*pen_journal_load_f)(void *context, Pen__JournalRecord *record, struct pen_error *err);

/* Open or make the journal in folder (which exists) and load it. spool_id is used when it is made.
 * Locks the folder until the journal is closed. Errors: PEN_ECONFLICT (another process uses it),
 * PEN_ECORRUPT, PEN_ENOSPACE, PEN_EIO, and what load returns. */
int pen_journal_open(const char *folder, const char *spool_id, const char *machine_id,
                     size_t capacity, pen_journal_load_f load, void *context,
                     struct pen_journal **ret_journal, struct pen_error *err);
void pen_journal_close(struct pen_journal **self_p);

/* The id that was given when the journal was made. */
const char *pen_journal_spool_id(const struct pen_journal *self);

/* Add a record (its spool_seq is set); it is written by the next pen_journal_write. */
int pen_journal_append(struct pen_journal *self, Pen__JournalRecord *record, struct pen_error *err);

/* Write what was added: it survives the end of this process. Errors: PEN_EIO, PEN_ENOSPACE. */
int pen_journal_write(struct pen_journal *self, struct pen_error *err);

/* Make all that was written survive the end of the host. */
int pen_journal_sync(struct pen_journal *self, struct pen_error *err);

/* Number of the last record added. */
uint64_t pen_journal_seq(const struct pen_journal *self);

/* Whether it is time for compaction: three quarters of the current file are used. */
bool pen_journal_is_full(const struct pen_journal *self);

/* Begin anew with these records; durable on return. On failure the journal is as before. */
int pen_journal_compact(struct pen_journal *self, Pen__JournalRecord *const *records, size_t count,
                        struct pen_error *err);

#endif
