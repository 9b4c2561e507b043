/* tests/sim/journal.c - an agent's journal on a simulated disk: what is synced survives the host */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/wire/wire.h"
#include "tests/sim/sim.h"

static void add(struct journal *self, ProtobufCBinaryData bytes, uint64_t seq)
{
    if (self->count == self->room) {
        self->room = self->room == 0 ? 64 : 2 * self->room;
        self->records = realloc(self->records, self->room * sizeof *self->records);
        self->seqs = realloc(self->seqs, self->room * sizeof *self->seqs);
        CHECK(self->records != NULL && self->seqs != NULL);
    }
    self->seqs[self->count] = seq;
    self->records[self->count++] = bytes;
    self->seq = seq;
}

void journal_append(struct journal *self, Pen__JournalRecord *record)
{
    SET(record, spool_seq, self->seq + 1);
    struct pen_buf bytes = {0};
    struct pen_error err;
    CHECK(pen_wire_pack(record, &bytes, &err) == 0);
    ProtobufCBinaryData copy = mem_bytes((ProtobufCBinaryData){bytes.size, bytes.data});
    pen_buf_release(&bytes);
    add(self, copy, self->seq + 1);
}

void journal_cut(struct journal *self, size_t count)
{
    while (self->count > count)
        free(self->records[--self->count].data);
    self->seq = self->count == 0 ? 0 : self->seqs[self->count - 1];
    if (self->synced > self->count)
        self->synced = self->count;
}

void journal_clear(struct journal *self)
{
    journal_cut(self, 0);
    free(self->records);
    free(self->seqs);
    *self = (struct journal){0};
}

void journal_copy(struct journal *self, const struct journal *from)
{
    journal_clear(self);
    for (size_t i = 0; i < from->synced; i++)
        add(self, mem_bytes(from->records[i]), from->seqs[i]);
    self->synced = self->count;
}

int journal_load(const struct journal *self, struct pen_session *session, struct pen_error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        ProtobufCMessage *record;
        int rc = pen_wire_unpack(&pen__journal_record__descriptor, self->records[i].data,
                                 self->records[i].len, &pen_wire_stored, &record, err);
        if (rc < 0)
            return rc;
        rc = pen_session_load(session, (Pen__JournalRecord *)record, err);
        mem_free_message(record);
        if (rc < 0)
            return rc;
    }
    return 0;
}
