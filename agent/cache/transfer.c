#include "agent/cache/transfer.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cache/transfer_internal.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/io/clock.h"
#include "common/log/log.h"
#include "common/wire/wire.h"

void transfer_wake(struct pen_transfers *self, int64_t at_ms)
{
    if (at_ms < self->deadline_ms)
        self->deadline_ms = at_ms;
}

/* ---- blobs under way */

struct flight *flight_find(struct transfer *transfer, const uint8_t *sha256)
{
    for (size_t i = 0; i < transfer->flights_count; i++)
        if (memcmp(transfer->flights[i].digest.sha256, sha256, PEN_SHA256_SIZE) == 0)
            return &transfer->flights[i];
    return NULL;
}

void flight_remove(struct pen_transfers *self, struct transfer *transfer, struct flight *flight)
{
    pen_buf_release(&flight->bytes);
    *flight = transfer->flights[--transfer->flights_count];
    transfer->flights[transfer->flights_count] = (struct flight){0};
    if (transfer->up)
        self->in_flight--;
}

void flights_clear(struct pen_transfers *self, struct transfer *transfer)
{
    while (transfer->flights_count > 0)
        flight_remove(self, transfer, &transfer->flights[0]);
}

/* ---- transfers */

static void reset(struct pen_transfers *self, struct transfer *transfer)
{
    flights_clear(self, transfer);
    free(TAKE_PTR(transfer->digests));
    free(TAKE_PTR(transfer->needed));
    transfer->digests_count = transfer->next = 0;
    transfer->needed_count = transfer->needed_next = 0;
    transfer->query = 0;
    transfer->query_from = transfer->query_count = 0;
    transfer->lost = transfer->puts > 0;
    transfer->state = TRANSFER_IDLE;
}

void transfer_remove(struct pen_transfers *self, struct transfer *transfer)
{
    reset(self, transfer);
    (void)pen_map_remove(&self->transfers, pen_key_number(transfer->id));
    free(transfer->name);
    free(transfer->folder);
    free(transfer);
}

void transfer_give_up(struct pen_transfers *self, struct transfer *transfer, const char *why)
{
    PEN_CLEANUP(pen_free)
    char *text = pen_strdup_printf("input artifact '%s' cannot be fetched: %s",
                                   transfer->name == NULL ? "" : transfer->name, why);
    uint64_t fence = transfer->fence;
    transfer_remove(self, transfer);
    self->options.fetched(self->options.context, fence,
                          text == NULL ? "an input cannot be fetched" : text);
}

void transfer_retry(struct pen_transfers *self, struct transfer *transfer, const char *why)
{
    reset(self, transfer);
    pen_log(PEN_LOG_WARNING, "a transfer begins again",
            "fence=%" PRIu64 " artifact=%s direction=%s why=\"%s\"", transfer->fence,
            transfer->name == NULL ? "" : transfer->name, transfer->up ? "up" : "down", why);
    if (!transfer->up && ++transfer->failures >= PEN_TRANSFER_FAILURES_MAX) {
        transfer_give_up(self, transfer, why);
        return;
    }
    transfer->pause_ms =
        transfer->pause_ms == 0 ? PEN_TRANSFER_RETRY_FIRST_MS : 2 * transfer->pause_ms;
    if (transfer->pause_ms > PEN_TRANSFER_RETRY_LAST_MS)
        transfer->pause_ms = PEN_TRANSFER_RETRY_LAST_MS;
    transfer->retry_at_ms = pen_clock_monotonic_ms() + transfer->pause_ms;
    transfer_wake(self, transfer->retry_at_ms);
}

void transfer_pump(struct pen_transfers *self, struct transfer *transfer)
{
    if (!self->connected || pen_clock_monotonic_ms() < transfer->retry_at_ms)
        return;
    if (transfer->state == TRANSFER_IDLE)
        transfer->heard_ms = pen_clock_monotonic_ms();
    transfer_wake(self, transfer->heard_ms + PEN_TRANSFER_SILENCE_MS);
    if (transfer->up)
        upload_pump(self, transfer);
    else
        download_pump(self, transfer);
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(((const struct digest *)a)->sha256, ((const struct digest *)b)->sha256,
                  PEN_SHA256_SIZE);
}

static bool is_here(struct pen_transfers *self, const struct transfer *transfer,
                    const uint8_t *sha256)
{
    return transfer->suspect ? pen_blob_renew(self->store, sha256)
                             : pen_blob_has(self->store, sha256);
}

int digests_load(struct pen_transfers *self, struct transfer *transfer, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    int rc = pen_manifest_get(self->store, transfer->manifest, &manifest, err);
    if (rc < 0)
        return rc;
    struct digest *digests = calloc(manifest->n_chunks + 1, sizeof *digests);
    if (digests == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for an artifact's chunks");
    size_t count = 0;
    for (size_t i = 0; i < manifest->n_chunks; i++) {
        const Pen__ManifestChunk *chunk = manifest->chunks[i];
        memcpy(digests[count].sha256, chunk->sha256.data, PEN_SHA256_SIZE);
        digests[count].plain_size = chunk->size;
        if (transfer->up || !is_here(self, transfer, digests[count].sha256))
            count++;
    }
    qsort(digests, count, sizeof *digests, compare_digests);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || compare_digests(&digests[kept - 1], &digests[i]) != 0)
            digests[kept++] = digests[i];
    if (transfer->up) /* the manifest is a blob, too */
        memcpy(digests[kept++].sha256, transfer->manifest, PEN_SHA256_SIZE);
    if (transfer->up)
        digests[kept - 1].plain_size = 0;
    free(transfer->digests);
    transfer->digests = digests;
    transfer->digests_count = kept;
    transfer->next = 0;
    return 0;
}

static int add(struct pen_transfers *self, uint64_t fence, const Pen__ArtifactRef *artifact,
               const char *folder, struct pen_error *err)
{
    if (artifact->manifest_sha256.len != PEN_SHA256_SIZE)
        return pen_fail(err, PEN_EINVAL, "artifact '%s' has no digest of 32 bytes", artifact->name);
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (transfer == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a transfer");
    transfer->id = ++self->last_id;
    transfer->fence = fence;
    transfer->up = folder == NULL;
    transfer->size = artifact->size;
    memcpy(transfer->manifest, artifact->manifest_sha256.data, PEN_SHA256_SIZE);
    bool copied =
        pen_str_set(&transfer->name, artifact->name) && pen_str_set(&transfer->folder, folder);
    if (!copied ||
        pen_map_put(&self->transfers, pen_key_number(transfer->id), transfer, NULL) < 0) {
        free(transfer->name);
        free(transfer->folder);
        free(transfer);
        return pen_fail(err, PEN_ENOMEM, "no memory for a transfer");
    }
    /* Not from within this call: what may come of it is reported later. */
    transfer_wake(self, 0);
    return 0;
}

int pen_transfers_fetch(struct pen_transfers *self, uint64_t fence,
                        const Pen__ArtifactRef *artifact, const char *folder, struct pen_error *err)
{
    return add(self, fence, artifact, folder, err);
}

int pen_transfers_push(struct pen_transfers *self, uint64_t fence, const Pen__ArtifactRef *artifact,
                       struct pen_error *err)
{
    return add(self, fence, artifact, NULL, err);
}

void pen_transfers_drop(struct pen_transfers *self, uint64_t fence)
{
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL; node = next) {
        next = pen_map_next(node);
        struct transfer *transfer = pen_map_value(node);
        if (transfer->fence == fence)
            transfer_remove(self, transfer);
    }
}

bool pen_transfers_is_idle(const struct pen_transfers *self, uint64_t fence)
{
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node))
        if (((const struct transfer *)pen_map_value(node))->fence == fence)
            return false;
    return true;
}

/* ---- link and time */

void pen_transfers_connected(struct pen_transfers *self, uint32_t blob_credit)
{
    self->connected = true;
    if (blob_credit > 0)
        self->credit = blob_credit < TRANSFER_FLIGHTS_MAX ? blob_credit : TRANSFER_FLIGHTS_MAX;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL;
         node = pen_map_next(node)) {
        struct transfer *transfer = pen_map_value(node);
        if (transfer->state != TRANSFER_UNPACKING)
            reset(self, transfer);
        transfer->retry_at_ms = transfer->pause_ms = 0;
    }
    transfer_wake(self, 0);
}

void pen_transfers_disconnected(struct pen_transfers *self)
{
    self->connected = false;
}

static void on_refused(struct pen_transfers *self, const Pen__Refused *refused)
{
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL; node = next) {
        next = pen_map_next(node);
        struct transfer *transfer = pen_map_value(node);
        if (!refused->has_fence || transfer->fence != refused->fence ||
            transfer->state == TRANSFER_IDLE || transfer->state == TRANSFER_UNPACKING)
            continue;
        const char *why = refused->message == NULL ? "the controller refuses" : refused->message;
        bool lacking = !transfer->up && refused->code == PEN__REFUSED_CODE__DIGEST;
        if (lacking && ++transfer->lacking == PEN_TRANSFER_LACKING_MAX) {
            PEN_CLEANUP(pen_free)
            char *text = pen_strdup_printf("the controller has no good copy of it (%s); what makes "
                                           "the artifact has to run again",
                                           why);
            transfer_give_up(self, transfer, text == NULL ? why : text);
        } else {
            transfer_retry(self, transfer, why);
        }
    }
}

void pen_transfers_on_message(struct pen_transfers *self, Pen__DataToAgent *message)
{
    switch ((int)message->body_case) {
    case PEN__DATA_TO_AGENT__BODY_BLOB_DATA:
        download_on_data(self, message->blob_data);
        break;
    case PEN__DATA_TO_AGENT__BODY_BLOB_NEED:
        upload_on_need(self, message->blob_need);
        break;
    case PEN__DATA_TO_AGENT__BODY_BLOB_ACK:
        upload_on_ack(self, message->blob_ack);
        break;
    case PEN__DATA_TO_AGENT__BODY_ARTIFACT_STORED:
        upload_on_stored(self, message->artifact_stored);
        break;
    case PEN__DATA_TO_AGENT__BODY_REFUSED:
        on_refused(self, message->refused);
        break;
    default:
        break;
    }
}

void pen_transfers_on_job(struct pen_transfers *self, const struct pen_job *job)
{
    struct transfer *transfer = pen_map_get(&self->transfers, pen_key_number(job->number));
    if (transfer != NULL)
        download_on_job(self, transfer, job);
}

void pen_transfers_on_time(struct pen_transfers *self)
{
    int64_t now = pen_clock_monotonic_ms();
    if (now < self->deadline_ms)
        return;
    self->deadline_ms = INT64_MAX;
    char text[PEN_ERROR_MESSAGE_MAX];
    if (pen_blob_store_damage(self->store, text))
        pen_log(PEN_LOG_WARNING, "damaged blobs", "what=\"%s\"", text);
    struct pen_map_node *next;
    for (struct pen_map_node *node = pen_map_first(&self->transfers); node != NULL; node = next) {
        next = pen_map_next(node);
        struct transfer *transfer = pen_map_value(node);
        if (transfer->retry_at_ms > now) {
            transfer_wake(self, transfer->retry_at_ms);
            continue;
        }
        bool silent = transfer->state != TRANSFER_IDLE && transfer->state != TRANSFER_UNPACKING &&
                      transfer->puts == 0 && now >= transfer->heard_ms + PEN_TRANSFER_SILENCE_MS;
        if (silent && self->connected)
            transfer_retry(self, transfer, "the controller does not answer");
        else
            transfer_pump(self, transfer);
    }
}

int64_t pen_transfers_deadline_ms(const struct pen_transfers *self)
{
    return self->deadline_ms;
}

/* ---- life */

int pen_transfers_create(const struct pen_transfers_options *options,
                         struct pen_transfers **ret_transfers, struct pen_error *err)
{
    PEN_CLEANUP(pen_transfers_destroy) struct pen_transfers *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for transfers");
    self->options = *options;
    self->options.blobs = NULL;
    self->credit = PEN_TRANSFER_CREDIT_DEFAULT;
    self->deadline_ms = INT64_MAX;
    int rc = pen_blob_store_open(options->blobs, &self->store, err);
    if (rc < 0)
        return rc;
    *ret_transfers = TAKE_PTR(self);
    return 0;
}

void pen_transfers_destroy(struct pen_transfers **self_p)
{
    struct pen_transfers *self = *self_p;
    if (self == NULL)
        return;
    struct transfer *transfer;
    while ((transfer = pen_map_first_value(&self->transfers)) != NULL)
        transfer_remove(self, transfer);
    pen_map_release(&self->transfers);
    pen_blob_store_close(&self->store);
    free(self);
    *self_p = NULL;
}
