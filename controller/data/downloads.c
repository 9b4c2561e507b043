#include "controller/data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"

/* A blob that an agent has asked for. */
struct download {
    struct download *next;
    uint64_t fence;
    uint64_t offset; /* of the next piece */
    uint8_t sha256[PEN_SHA256_SIZE];
    uint64_t plain_size;
};

/* What waits to be sent to one link: answers that its queue in libzmq had no room for, and then
 * downloads in the order of the questions. Only the first one's bytes are in memory. */
struct download_queue {
    uint64_t link;
    struct pen_buf answers; /* each behind its size, a uint32_t */
    struct download *first;
    struct download **end;
    size_t count;
    bool loaded;
    struct pen_buf bytes;
};

static void drop_first(struct download_queue *queue)
{
    struct download *first = queue->first;
    queue->first = first->next;
    if (queue->first == NULL)
        queue->end = &queue->first;
    queue->count--;
    queue->loaded = false;
    pen_buf_clear(&queue->bytes);
    free(first);
}

static void destroy(struct download_queue *queue)
{
    while (queue->first != NULL)
        drop_first(queue);
    pen_buf_release(&queue->bytes);
    pen_buf_release(&queue->answers);
    free(queue);
}

static int queue_of(struct pen_data *self, const struct pen_link *link,
                    struct download_queue **ret_queue, struct pen_error *err)
{
    struct download_queue *queue = pen_map_get(&self->downloads, pen_key_number(link->number));
    if (queue == NULL) {
        queue = calloc(1, sizeof *queue);
        if (queue == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for a download");
        queue->link = link->number;
        queue->end = &queue->first;
        int rc = pen_map_put(&self->downloads, pen_key_number(link->number), queue, err);
        if (rc < 0) {
            free(queue);
            return rc;
        }
    }
    *ret_queue = queue;
    return 0;
}

/* ---- answers */

static int keep_answer(struct pen_data *self, const struct pen_link *link, const void *bytes,
                       size_t size, struct pen_error *err)
{
    struct download_queue *queue;
    int rc = queue_of(self, link, &queue, err);
    if (rc < 0)
        return rc;
    if (queue->answers.size + size > PEN_LIMIT_ANSWERS_WAITING_BYTES)
        return pen_fail(err, PEN_ELIMIT, "it asks and does not read the answers");
    const uint32_t prefix = (uint32_t)size;
    pen_buf_append(&queue->answers, &prefix, sizeof prefix);
    pen_buf_append(&queue->answers, bytes, size);
    return pen_buf_ok(&queue->answers, err);
}

void pen_data_send(struct pen_data *self, const struct pen_link *link, const void *bytes,
                   size_t size)
{
    const struct download_queue *queue =
        pen_map_get(&self->downloads, pen_key_number(link->number));
    if ((queue == NULL || queue->answers.size == 0) &&
        pen_plane_send(self->plane, link, bytes, size))
        return;
    struct pen_error err;
    struct pen_link *live = pen_plane_by_number(self->plane, link->number);
    if (live != NULL && keep_answer(self, link, bytes, size, &err) < 0)
        pen_plane_cut(self->plane, live, err.message);
}

/* Send the answers that wait. True when none is left. */
static bool pump_answers(struct pen_data *self, const struct pen_link *link,
                         struct download_queue *queue)
{
    size_t done = 0;
    while (done < queue->answers.size) {
        uint32_t size;
        memcpy(&size, queue->answers.data + done, sizeof size);
        CHECK(size <= queue->answers.size - done - sizeof size);
        if (!pen_plane_send(self->plane, link, queue->answers.data + done + sizeof size, size))
            break;
        done += sizeof size + size;
    }
    pen_buf_consume(&queue->answers, done);
    return queue->answers.size == 0;
}

/* ---- downloads */

static int enqueue(struct pen_data *self, const struct pen_link *link, struct attempt *attempt,
                   const Pen__BlobGet *get, struct pen_error *err)
{
    const struct input_blob *input;
    int rc = pen_data_attempt_input(self, attempt, get->sha256.data, &input, err);
    if (rc < 0)
        return rc;
    struct download_queue *queue;
    if ((rc = queue_of(self, link, &queue, err)) < 0)
        return rc;
    if (queue->count >= PEN_LIMIT_BLOB_GETS_WAITING)
        return pen_fail(err, PEN_ELIMIT, "%zu blobs are waiting to be sent to you already",
                        queue->count);
    struct download *download = calloc(1, sizeof *download);
    if (download == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for a download");
    download->fence = attempt->fence;
    download->offset = get->has_offset ? get->offset : 0;
    download->plain_size = input->plain_size;
    memcpy(download->sha256, input->sha256, PEN_SHA256_SIZE);
    *queue->end = download;
    queue->end = &download->next;
    queue->count++;
    return 0;
}

void pen_data_blob_wanted(struct pen_data *self, const struct pen_link *link,
                          const Pen__BlobGet *get)
{
    struct pen_error err;
    struct attempt *attempt = pen_data_attempt_of(self, link, get->has_fence, get->fence);
    if (attempt == NULL)
        return;
    if (!get->has_sha256 || get->sha256.len != PEN_SHA256_SIZE) {
        pen_data_refuse(self, link, PEN__REFUSED_CODE__LIMIT,
                        &(struct refusal){.fence = get->fence}, "sha256 is not 32 bytes");
        return;
    }
    if (enqueue(self, link, attempt, get, &err) < 0)
        pen_data_refuse_error(
            self, link, &(struct refusal){.fence = get->fence, .sha256 = get->sha256.data}, &err);
}

/* Bring the first one's bytes into memory. */
static int load(struct pen_data *self, struct download_queue *queue, struct pen_error *err)
{
    struct download *first = queue->first;
    int rc = pen_blob_get_compressed(self->store, first->sha256, &queue->bytes, err);
    if (rc < 0)
        return rc;
    if (first->offset > queue->bytes.size)
        return pen_fail(err, PEN_EINVAL, "offset %" PRIu64 " is beyond the blob's %zu bytes",
                        first->offset, queue->bytes.size);
    queue->loaded = true;
    return 0;
}

/* Send the next piece of the first one. False: the peer takes nothing now. */
static bool send_piece(struct pen_data *self, const struct pen_link *link,
                       struct download_queue *queue, bool *ret_last)
{
    struct download *first = queue->first;
    size_t left = queue->bytes.size - (size_t)first->offset;
    size_t size = left < PEN_LIMIT_PIECE_BYTES ? left : PEN_LIMIT_PIECE_BYTES;
    Pen__BlobData data = PEN__BLOB_DATA__INIT;
    data.has_fence = true;
    data.fence = first->fence;
    data.has_sha256 = true;
    data.sha256 = (ProtobufCBinaryData){.len = PEN_SHA256_SIZE, .data = first->sha256};
    data.has_offset = true;
    data.offset = first->offset;
    data.has_bytes = true;
    data.bytes =
        (ProtobufCBinaryData){.len = size, .data = queue->bytes.data + (size_t)first->offset};
    data.has_last = true;
    data.last = size == left;
    data.has_plain_size = true;
    data.plain_size = first->plain_size;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_BLOB_DATA;
    answer.blob_data = &data;
    if (!pen_plane_send_message(self->plane, link, &answer, &self->packed))
        return false;
    first->offset += size;
    *ret_last = data.last;
    return true;
}

/* True when nothing is left to be sent. */
static bool pump(struct pen_data *self, const struct pen_link *link, struct download_queue *queue)
{
    if (!pump_answers(self, link, queue))
        return false;
    while (queue->first != NULL) {
        struct pen_error err;
        if (!queue->loaded && load(self, queue, &err) < 0) {
            pen_data_refuse_error(
                self, link,
                &(struct refusal){.fence = queue->first->fence, .sha256 = queue->first->sha256},
                &err);
            drop_first(queue);
            continue;
        }
        bool last = false;
        if (!send_piece(self, link, queue, &last))
            return false;
        if (last)
            drop_first(queue);
    }
    return queue->answers.size == 0; /* a refusal may have had to wait */
}

void pen_data_downloads_pump(struct pen_data *self)
{
    struct pen_map_node *node = pen_map_first(&self->downloads);
    while (node != NULL) {
        struct download_queue *queue = pen_map_value(node);
        node = pen_map_next(node);
        const struct pen_link *link = pen_plane_by_number(self->plane, queue->link);
        if (link == NULL || pump(self, link, queue))
            pen_data_downloads_drop(self, queue->link);
    }
}

void pen_data_downloads_drop(struct pen_data *self, uint64_t link)
{
    struct download_queue *queue = pen_map_remove(&self->downloads, pen_key_number(link));
    if (queue != NULL)
        destroy(queue);
}

void pen_data_downloads_release(struct pen_data *self)
{
    struct pen_map_node *node = pen_map_first(&self->downloads);
    for (; node != NULL; node = pen_map_next(node))
        destroy(pen_map_value(node));
    pen_map_release(&self->downloads);
}
