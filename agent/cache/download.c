/* Inputs: manifest, lacking chunks, unpacking. */
#include <stdlib.h>
#include <string.h>

#include "agent/cache/transfer_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"

static void ask(struct pen_transfers *self, struct transfer *transfer, struct digest digest)
{
    Pen__BlobGet get = PEN__BLOB_GET__INIT;
    get.has_fence = get.has_sha256 = get.has_offset = true;
    get.fence = transfer->fence;
    get.sha256 = (ProtobufCBinaryData){.len = PEN_SHA256_SIZE, .data = digest.sha256};
    Pen__DataFromAgent message = PEN__DATA_FROM_AGENT__INIT;
    message.body_case = PEN__DATA_FROM_AGENT__BODY_BLOB_GET;
    message.blob_get = &get;
    transfer->flights[transfer->flights_count++] = (struct flight){.digest = digest};
    if (self->options.send(self->options.context, &message) < 0)
        transfer_retry(self, transfer, "the connection takes nothing");
}

static void unpack(struct pen_transfers *self, struct transfer *transfer)
{
    PEN_CLEANUP(pen_job_destroy)
    struct pen_job *job = pen_job_create(PEN_JOB_UNPACK, transfer->fence);
    if (job == NULL || !pen_str_set(&job->folder, transfer->folder)) {
        transfer_retry(self, transfer, "no memory");
        return;
    }
    job->number = transfer->id;
    memcpy(job->sha256, transfer->manifest, PEN_SHA256_SIZE);
    if (pen_worker_post(self->options.worker, job, NULL) < 0) {
        transfer_retry(self, transfer, "too much work waits");
        return;
    }
    job = NULL;
    transfer->state = TRANSFER_UNPACKING;
}

static void begin_chunks(struct pen_transfers *self, struct transfer *transfer)
{
    struct pen_error err = {0};
    if (digests_load(self, transfer, &err) < 0) {
        transfer_retry(self, transfer, err.message);
        return;
    }
    transfer->state = TRANSFER_CHUNKS;
    download_pump(self, transfer);
}

void download_pump(struct pen_transfers *self, struct transfer *transfer)
{
    if (transfer->lost)
        return; /* the worker still holds blobs of the former try */
    if (transfer->state == TRANSFER_IDLE && pen_blob_has(self->store, transfer->manifest)) {
        begin_chunks(self, transfer);
        return;
    }
    if (transfer->state == TRANSFER_IDLE) {
        struct digest manifest = {.plain_size = 0};
        memcpy(manifest.sha256, transfer->manifest, PEN_SHA256_SIZE);
        transfer->state = TRANSFER_MANIFEST;
        ask(self, transfer, manifest);
        return;
    }
    while (transfer->state == TRANSFER_CHUNKS && transfer->next < transfer->digests_count &&
           transfer->flights_count + transfer->puts < PEN_TRANSFER_GETS_MAX)
        ask(self, transfer, transfer->digests[transfer->next++]);
    if (transfer->state == TRANSFER_CHUNKS && transfer->next == transfer->digests_count &&
        transfer->flights_count == 0 && transfer->puts == 0)
        unpack(self, transfer);
}

static void store_blob(struct pen_transfers *self, struct transfer *transfer, struct flight *flight)
{
    PEN_CLEANUP(pen_job_destroy) struct pen_job *job = pen_job_create(PEN_JOB_PUT, transfer->fence);
    if (job == NULL) {
        transfer_retry(self, transfer, "no memory");
        return;
    }
    job->number = transfer->id;
    job->sync = transfer->state == TRANSFER_MANIFEST;
    job->plain_size_max = job->sync ? (size_t)PEN_MANIFEST_MAX : (size_t)PEN_CHUNK_MAX;
    memcpy(job->sha256, flight->digest.sha256, PEN_SHA256_SIZE);
    job->bytes = flight->bytes;
    flight->bytes = (struct pen_buf){0};
    flight_remove(self, transfer, flight);
    if (pen_worker_post(self->options.worker, job, NULL) < 0) {
        transfer_retry(self, transfer, "too much work waits");
        return;
    }
    job = NULL;
    transfer->puts++;
}

void download_on_data(struct pen_transfers *self, const Pen__BlobData *data)
{
    if (data->sha256.len != PEN_SHA256_SIZE)
        return;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node)) {
        struct transfer *transfer = pen_map_value(node);
        struct flight *flight = transfer->up || transfer->fence != data->fence
                                    ? NULL
                                    : flight_find(transfer, data->sha256.data);
        if (flight == NULL || data->offset != flight->bytes.size)
            continue;
        transfer->heard_ms = pen_clock_monotonic_ms();
        pen_buf_append(&flight->bytes, data->bytes.data, data->bytes.len);
        if (pen_buf_ok(&flight->bytes, NULL) < 0 ||
            flight->bytes.size > (size_t)PEN_MANIFEST_MAX + PEN_CHUNK_MAX)
            transfer_retry(self, transfer, "a blob is larger than a blob can be");
        else if (data->last)
            store_blob(self, transfer, flight);
        return;
    }
}

void download_on_job(struct pen_transfers *self, struct transfer *transfer,
                     const struct pen_job *job)
{
    transfer->heard_ms = pen_clock_monotonic_ms();
    if (job->kind == PEN_JOB_UNPACK &&
        (job->error.code == PEN_ECORRUPT || job->error.code == PEN_ENOTFOUND)) {
        /* A damaged blob of ours is dropped by now, and is fetched; a bad artifact fails again. */
        transfer->suspect = true;
        transfer_retry(self, transfer, job->error.message);
        return;
    }
    if (job->kind == PEN_JOB_UNPACK) {
        uint64_t fence = transfer->fence;
        PEN_CLEANUP(pen_free)
        char *text = job->error.code == 0 ? NULL
                                          : pen_strdup_printf("input artifact '%s': %s",
                                                              transfer->name, job->error.message);
        bool failed = job->error.code != 0;
        transfer_remove(self, transfer);
        self->options.fetched(self->options.context, fence,
                              failed && text == NULL ? "an input cannot be unpacked" : text);
        return;
    }
    transfer->puts--;
    if (transfer->lost) {
        transfer->lost = transfer->puts > 0;
        transfer_wake(self, transfer->retry_at_ms);
        return;
    }
    if (job->error.code != 0)
        transfer_retry(self, transfer, job->error.message);
    else if (transfer->state == TRANSFER_MANIFEST)
        begin_chunks(self, transfer);
    else
        download_pump(self, transfer);
}
