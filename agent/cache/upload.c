/* Outputs: what lacks there, then its blobs, then the commit. */
#include <stdlib.h>
#include <string.h>

#include "agent/cache/transfer_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"

enum { SEND_RETRY_MS = 50 };

/* The connection takes nothing: go on from here soon. */
static void wait_a_little(struct pen_transfers *self, struct transfer *transfer)
{
    transfer->retry_at_ms = pen_clock_monotonic_ms() + SEND_RETRY_MS;
    transfer_wake(self, transfer->retry_at_ms);
}

static void ask(struct pen_transfers *self, struct transfer *transfer)
{
    size_t left = transfer->digests_count - transfer->query_from;
    size_t count = left < PEN_TRANSFER_QUERY_MAX ? left : PEN_TRANSFER_QUERY_MAX;
    PEN_CLEANUP(pen_free) ProtobufCBinaryData *names = calloc(count + 1, sizeof *names);
    if (names == NULL) {
        transfer_retry(self, transfer, "no memory");
        return;
    }
    for (size_t i = 0; i < count; i++)
        names[i] = (ProtobufCBinaryData){
            .len = PEN_SHA256_SIZE, .data = transfer->digests[transfer->query_from + i].sha256};
    Pen__BlobQuery query = PEN__BLOB_QUERY__INIT;
    query.has_fence = query.has_query = true;
    query.fence = transfer->fence;
    query.query = ++self->last_query;
    query.n_sha256 = count;
    query.sha256 = names;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_QUERY;
    message.blob_query = &query;
    transfer->state = TRANSFER_ASKING;
    if (self->options.send(self->options.context, &message) < 0) {
        transfer->state = TRANSFER_IDLE;
        wait_a_little(self, transfer);
        return;
    }
    transfer->query = query.query;
    transfer->query_count = count;
}

/* All pieces of a blob, without a gap. */
static int send_blob(struct pen_transfers *self, const struct transfer *transfer,
                     const struct digest *digest, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    int rc = pen_blob_get_compressed(self->store, digest->sha256, &bytes, err);
    for (size_t at = 0; rc == 0 && (at < bytes.size || at == 0); at += PEN_TRANSFER_PIECE_BYTES) {
        size_t left = bytes.size - at;
        Pen__BlobData data = PEN__BLOB_DATA__INIT;
        data.has_fence = data.has_sha256 = data.has_offset = data.has_bytes = data.has_last = true;
        data.fence = transfer->fence;
        data.sha256 = (ProtobufCBinaryData){.len = PEN_SHA256_SIZE,
                                            .data = (uint8_t *)(uintptr_t)digest->sha256};
        data.offset = at;
        data.bytes.len = left < PEN_TRANSFER_PIECE_BYTES ? left : PEN_TRANSFER_PIECE_BYTES;
        data.bytes.data = bytes.data + at;
        data.last = data.bytes.len == left;
        data.has_plain_size = digest->plain_size > 0;
        data.plain_size = digest->plain_size;
        Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
        message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_DATA;
        message.blob_data = &data;
        rc = self->options.send(self->options.context, &message);
    }
    return rc;
}

static void commit(struct pen_transfers *self, struct transfer *transfer)
{
    Pen__ArtifactRef artifact = PEN__ARTIFACT_REF__INIT;
    artifact.name = transfer->name;
    artifact.has_manifest_sha256 = artifact.has_size = true;
    artifact.manifest_sha256 =
        (ProtobufCBinaryData){.len = PEN_SHA256_SIZE, .data = transfer->manifest};
    artifact.size = transfer->size;
    Pen__ArtifactCommit body = PEN__ARTIFACT_COMMIT__INIT;
    body.has_fence = true;
    body.fence = transfer->fence;
    body.artifact = &artifact;
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_ARTIFACT_COMMIT;
    message.artifact_commit = &body;
    transfer->state = TRANSFER_COMMITTING;
    if (self->options.send(self->options.context, &message) < 0) {
        transfer->state = TRANSFER_SENDING;
        wait_a_little(self, transfer);
    }
}

/* How many blobs of this transfer may be under way: the credit is shared by all that send, so that
 * a large one does not hold up a small one. */
static size_t share_of(const struct pen_transfers *self)
{
    size_t senders = 0;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node)) {
        const struct transfer *transfer = pen_map_value(node);
        senders += transfer->up && transfer->state == TRANSFER_SENDING ? 1 : 0;
    }
    size_t share = senders == 0 ? self->credit : self->credit / senders;
    return share == 0 ? 1 : share;
}

static void send_needed(struct pen_transfers *self, struct transfer *transfer)
{
    size_t share = share_of(self);
    while (transfer->needed_next < transfer->needed_count && self->in_flight < self->credit &&
           transfer->flights_count < share) {
        uint32_t index = transfer->needed[transfer->needed_next];
        const struct digest *digest = &transfer->digests[transfer->query_from + index];
        struct pen_error err = {0};
        int rc = send_blob(self, transfer, digest, &err);
        if (rc == PEN_EUNAVAILABLE) {
            wait_a_little(self, transfer);
            return;
        }
        if (rc < 0) {
            transfer_retry(self, transfer, err.message);
            return;
        }
        transfer->flights[transfer->flights_count++] = (struct flight){.digest = *digest};
        self->in_flight++;
        transfer->needed_next++;
    }
}

void upload_pump(struct pen_transfers *self, struct transfer *transfer)
{
    struct pen_error err = {0};
    if (transfer->state == TRANSFER_IDLE && transfer->digests == NULL &&
        digests_load(self, transfer, &err) < 0) {
        transfer_retry(self, transfer, err.message);
        return;
    }
    if (transfer->state == TRANSFER_IDLE) {
        ask(self, transfer);
        return;
    }
    if (transfer->state != TRANSFER_SENDING)
        return;
    send_needed(self, transfer);
    if (transfer->state != TRANSFER_SENDING || transfer->needed_next < transfer->needed_count ||
        transfer->flights_count > 0)
        return;
    if (transfer->query_from + transfer->query_count < transfer->digests_count) {
        transfer->query_from += transfer->query_count;
        ask(self, transfer);
    } else {
        commit(self, transfer);
    }
}

void upload_on_need(struct pen_transfers *self, const Pen__BlobNeed *need)
{
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node)) {
        struct transfer *transfer = pen_map_value(node);
        if (!transfer->up || transfer->state != TRANSFER_ASKING || transfer->query != need->query)
            continue;
        transfer->heard_ms = pen_clock_monotonic_ms();
        free(transfer->needed);
        transfer->needed = calloc(need->n_index + 1, sizeof *transfer->needed);
        if (transfer->needed == NULL) {
            transfer_retry(self, transfer, "no memory");
            return;
        }
        transfer->needed_count = transfer->needed_next = 0;
        for (size_t i = 0; i < need->n_index; i++)
            if (need->index[i] < transfer->query_count)
                transfer->needed[transfer->needed_count++] = need->index[i];
        transfer->state = TRANSFER_SENDING;
        transfer_pump(self, transfer);
        return;
    }
}

void upload_on_ack(struct pen_transfers *self, const Pen__BlobAck *ack)
{
    if (ack->sha256.len != PEN_SHA256_SIZE)
        return;
    bool taken = false;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node)) {
        struct transfer *transfer = pen_map_value(node);
        struct flight *flight =
            transfer->up && !taken ? flight_find(transfer, ack->sha256.data) : NULL;
        if (flight == NULL)
            continue;
        transfer->heard_ms = pen_clock_monotonic_ms();
        transfer->pause_ms = 0;
        flight_remove(self, transfer, flight);
        taken = true;
    }
    /* The credit is common: whoever waits for it may go on. */
    struct pen_map_node *next;
    for (struct pen_map_node *node = taken ? pen_map_first(&self->transfers) : NULL; node != NULL;
         node = next) {
        next = pen_map_next(node);
        struct transfer *transfer = pen_map_value(node);
        if (transfer->up && transfer->state == TRANSFER_SENDING)
            transfer_pump(self, transfer);
    }
}

void upload_on_stored(struct pen_transfers *self, const Pen__ArtifactStored *stored)
{
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL; node = next) {
        next = pen_map_next(node);
        struct transfer *transfer = pen_map_value(node);
        if (transfer->up && transfer->fence == stored->fence &&
            pen_str_equal(transfer->name, stored->name))
            transfer_remove(self, transfer);
    }
}
