#include "controller/data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/keys/digest.h"
#include "common/log/log.h"
#include "common/wire/wire.h"

enum {
    ASSEMBLING_MAX = PEN_MANIFEST_MAX + 128 * 1024, /* the largest blob, should it not compress */
    ASSEMBLING_KEPT = 512 * 1024, /* memory that an attempt keeps between two blobs */
};

static bool is_digest(bool present, const ProtobufCBinaryData *bytes)
{
    return present && bytes->len == PEN_SHA256_SIZE;
}

/* ---- questions */

static int answer_query(struct pen_data *self, const struct pen_link *link,
                        const Pen__BlobQuery *query, struct pen_error *err)
{
    if (query->n_sha256 > PEN_LIMIT_BLOB_QUERY)
        return pen_fail(err, PEN_ELIMIT, "a question for %zu blobs; %d are allowed",
                        query->n_sha256, PEN_LIMIT_BLOB_QUERY);
    uint32_t lacking[PEN_LIMIT_BLOB_QUERY];
    size_t count = 0;
    for (size_t i = 0; i < query->n_sha256; i++) {
        if (!is_digest(true, &query->sha256[i]))
            return pen_fail(err, PEN_EINVAL, "sha256[%zu] is not 32 bytes", i);
        if (!pen_blob_renew(self->store, query->sha256[i].data))
            lacking[count++] = (uint32_t)i;
    }
    Pen__BlobNeed need = PEN__BLOB_NEED__INIT;
    need.has_query = query->has_query;
    need.query = query->query;
    need.n_index = count;
    need.index = lacking;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_BLOB_NEED;
    answer.blob_need = &need;
    pen_data_answer(self, link, &answer);
    return 0;
}

void pen_data_blob_query(struct pen_data *self, const struct pen_link *link,
                         const Pen__BlobQuery *query)
{
    struct pen_error err;
    if (pen_data_attempt_of(self, link, query->has_fence, query->fence) != NULL &&
        answer_query(self, link, query, &err) < 0)
        pen_data_refuse_error(self, link, &(struct refusal){.fence = query->fence}, &err);
}

/* ---- blobs */

static void drop_assembling(struct pen_data *self, struct attempt *attempt)
{
    self->assembling_bytes -= attempt->assembling.size;
    if (attempt->assembling.capacity > ASSEMBLING_KEPT)
        pen_buf_release(&attempt->assembling);
    else
        pen_buf_clear(&attempt->assembling);
}

static int check_piece(const struct attempt *attempt, const Pen__BlobData *data,
                       struct pen_error *err)
{
    if (!data->has_bytes || data->bytes.len > PEN_LIMIT_PIECE_BYTES)
        return pen_fail(err, PEN_ELIMIT, "a piece has no bytes, or more than %d",
                        PEN_LIMIT_PIECE_BYTES);
    if (attempt->open->n_outputs == 0)
        return pen_fail(err, PEN_ELIMIT, "attempt %" PRIu64 " has no output artifacts",
                        attempt->fence);
    if (data->has_plain_size && data->plain_size > PEN_MANIFEST_MAX)
        return pen_fail(err, PEN_ELIMIT, "plain_size %" PRIu64 " is more than a blob may have",
                        data->plain_size);
    return 0;
}

/* Join the piece to those before it. */
static int assemble(struct pen_data *self, struct attempt *attempt, const Pen__BlobData *data,
                    struct pen_error *err)
{
    struct pen_buf *so_far = &attempt->assembling;
    if (data->offset == 0) {
        drop_assembling(self, attempt);
        memcpy(attempt->assembling_sha256, data->sha256.data, PEN_SHA256_SIZE);
    } else if (data->offset != so_far->size ||
               memcmp(attempt->assembling_sha256, data->sha256.data, PEN_SHA256_SIZE) != 0) {
        return pen_fail(err, PEN_ECORRUPT,
                        "a piece at offset %" PRIu64 " does not follow the one before it; send "
                        "the blob from its start",
                        data->offset);
    }
    if (so_far->size + data->bytes.len > ASSEMBLING_MAX)
        return pen_fail(err, PEN_ELIMIT, "the blob is larger than %d bytes", ASSEMBLING_MAX);
    if (self->assembling_bytes + data->bytes.len > PEN_LIMIT_ASSEMBLING_BYTES)
        return pen_fail(err, PEN_EUNAVAILABLE, "too many blobs are under way; try again later");
    size_t before = so_far->size;
    pen_buf_append(so_far, data->bytes.data, data->bytes.len);
    self->assembling_bytes += so_far->size - before;
    return pen_buf_ok(so_far, err);
}

static int store_blob(struct pen_data *self, struct attempt *attempt, const Pen__BlobData *data,
                      const void *bytes, size_t size, struct pen_error *err)
{
    uint64_t plain_max = data->has_plain_size ? data->plain_size : PEN_MANIFEST_MAX;
    if (attempt->uploaded_bytes + plain_max > pen_unpack_default.bytes_max)
        return pen_fail(err, PEN_ELIMIT, "the attempt has uploaded %" PRIu64 " bytes already",
                        attempt->uploaded_bytes);
    int rc = pen_blob_put_compressed(self->store, data->sha256.data, bytes, size, (size_t)plain_max,
                                     err);
    if (rc == 0)
        attempt->uploaded_bytes += data->has_plain_size ? data->plain_size : size;
    return rc;
}

/* Returns 1 when the blob is whole and stored, 0 when more pieces have to come. */
static int take_piece(struct pen_data *self, struct attempt *attempt, const Pen__BlobData *data,
                      struct pen_error *err)
{
    bool last = data->has_last && data->last;
    int rc = check_piece(attempt, data, err);
    if (rc < 0)
        return rc;
    if (last && data->offset == 0) { /* most chunks come in one piece: no copy is made */
        rc = store_blob(self, attempt, data, data->bytes.data, data->bytes.len, err);
        return rc < 0 ? rc : 1;
    }
    rc = assemble(self, attempt, data, err);
    if (rc == 0 && !last)
        return 0;
    if (rc == 0)
        rc = store_blob(self, attempt, data, attempt->assembling.data, attempt->assembling.size,
                        err);
    drop_assembling(self, attempt);
    return rc < 0 ? rc : 1;
}

void pen_data_blob_piece(struct pen_data *self, const struct pen_link *link,
                         const Pen__BlobData *data)
{
    struct pen_error err;
    struct attempt *attempt = pen_data_attempt_of(self, link, data->has_fence, data->fence);
    if (attempt == NULL)
        return;
    if (!is_digest(data->has_sha256, &data->sha256)) {
        pen_data_refuse(self, link, PEN__REFUSED_CODE__LIMIT,
                        &(struct refusal){.fence = data->fence}, "sha256 is not 32 bytes");
        return;
    }
    int rc = take_piece(self, attempt, data, &err);
    if (rc < 0)
        pen_data_refuse_error(
            self, link, &(struct refusal){.fence = data->fence, .sha256 = data->sha256.data}, &err);
    if (rc != 1)
        return;
    Pen__BlobAck ack = PEN__BLOB_ACK__INIT;
    ack.has_sha256 = true;
    ack.sha256 = data->sha256;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_BLOB_ACK;
    answer.blob_ack = &ack;
    pen_data_answer(self, link, &answer);
}

/* ---- artifacts */

static struct output *output_of(struct attempt *attempt, const char *name)
{
    for (size_t i = 0; name != NULL && i < attempt->open->n_outputs; i++) {
        if (pen_str_equal(attempt->open->outputs[i], name))
            return &attempt->outputs[i];
    }
    return NULL;
}

void pen_data_artifact_commit(struct pen_data *self, const struct pen_link *link,
                              const Pen__ArtifactCommit *commit)
{
    struct attempt *attempt = pen_data_attempt_of(self, link, commit->has_fence, commit->fence);
    if (attempt == NULL)
        return;
    const Pen__ArtifactRef *artifact = commit->artifact;
    struct output *output = artifact == NULL ? NULL : output_of(attempt, artifact->name);
    const struct refusal about = {.fence = commit->fence};
    if (output == NULL) {
        pen_data_refuse(self, link, PEN__REFUSED_CODE__LIMIT, &about,
                        "the attempt declares no output artifact of this name");
        return;
    }
    if (!is_digest(artifact->has_manifest_sha256, &artifact->manifest_sha256)) {
        pen_data_refuse(self, link, PEN__REFUSED_CODE__LIMIT, &about,
                        "artifact.manifest_sha256 is not 32 bytes");
        return;
    }
    if (!output->commit_waits && !output->arrived_waits)
        self->commits_waiting++;
    *output = (struct output){.commit_waits = true, .link = link->number, .size = artifact->size};
    memcpy(output->manifest_sha256, artifact->manifest_sha256.data, PEN_SHA256_SIZE);
}

/* Every chunk is here and stays, and the sizes add up. ret_lacking is a digest that is not here. */
static int check_artifact(struct pen_data *self, const struct output *output,
                          uint8_t ret_lacking[PEN_SHA256_SIZE], struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    int rc = pen_manifest_renew(self->store, output->manifest_sha256, &manifest, ret_lacking, err);
    if (rc < 0)
        return rc;
    if (manifest->size != output->size) /* the manifest's is that of its chunks */
        return pen_fail(err, PEN_ECORRUPT,
                        "the sizes differ: manifest %" PRIu64 ", artifact %" PRIu64, manifest->size,
                        output->size);
    return 0;
}

static int make_arrived(const struct attempt *attempt, size_t index, Pen__Input **ret_input,
                        struct pen_error *err)
{
    const struct output *output = &attempt->outputs[index];
    uint8_t digest[PEN_SHA256_SIZE];
    memcpy(digest, output->manifest_sha256, sizeof digest);
    Pen__ArtifactRef artifact = PEN__ARTIFACT_REF__INIT;
    artifact.name = attempt->open->outputs[index];
    artifact.has_manifest_sha256 = true;
    artifact.manifest_sha256 = (ProtobufCBinaryData){.len = sizeof digest, .data = digest};
    artifact.has_size = true;
    artifact.size = output->size;
    Pen__ArtifactArrived arrived = PEN__ARTIFACT_ARRIVED__INIT;
    arrived.has_fence = true;
    arrived.fence = attempt->fence;
    arrived.artifact = &artifact;
    Pen__Input input = PEN__INPUT__INIT;
    input.what_case = PEN__INPUT__WHAT_ARTIFACT_ARRIVED;
    input.artifact_arrived = &arrived;
    return pen_wire_copy(&input, (ProtobufCMessage **)ret_input, err);
}

static void report_arrived(struct pen_data *self, struct attempt *attempt, size_t index)
{
    PEN_CLEANUP(pen_message_destroy) Pen__Input *input = NULL;
    struct output *output = &attempt->outputs[index];
    if (make_arrived(attempt, index, &input, NULL) < 0 || !pen_data_post(self, &input)) {
        self->posts_wait = true;
        return;
    }
    output->arrived_waits = false;
    self->commits_waiting--;
}

static void settle(struct pen_data *self, struct attempt *attempt, size_t index,
                   const struct pen_error *sync_error)
{
    struct output *output = &attempt->outputs[index];
    if (output->commit_waits) {
        struct pen_error err;
        uint8_t lacking[PEN_SHA256_SIZE];
        memcpy(lacking, output->manifest_sha256, sizeof lacking);
        int rc = sync_error->code;
        if (rc < 0)
            err = *sync_error;
        else
            rc = check_artifact(self, output, lacking, &err);
        output->commit_waits = false;
        output->arrived_waits = rc == 0;
        if (rc < 0) {
            self->commits_waiting--;
            const struct pen_link *link =
                pen_plane_link(self->plane, output->link, attempt->open->agent_id);
            if (link != NULL)
                pen_data_refuse_error(self, link,
                                      &(struct refusal){.fence = attempt->fence, .sha256 = lacking},
                                      &err);
        }
    }
    if (output->arrived_waits)
        report_arrived(self, attempt, index);
}

void pen_data_artifacts_settle(struct pen_data *self)
{
    if (self->commits_waiting == 0)
        return;
    /* One sync makes the blobs of all artifacts of this turn durable and visible. */
    struct pen_error err = {.code = PEN_OK};
    if (pen_blob_store_sync(self->store, &err) < 0)
        pen_log(PEN_LOG_ERROR, "artifacts cannot be stored", "reason=\"%s\"", err.message);
    else
        err.code = PEN_OK;
    struct pen_map_node *node = pen_map_first(&self->attempts);
    for (; node != NULL; node = pen_map_next(node)) {
        struct attempt *attempt = pen_map_value(node);
        for (size_t i = 0; i < attempt->open->n_outputs; i++)
            settle(self, attempt, i, &err);
    }
}

void pen_data_artifact_accepted(struct pen_data *self, const Pen__ArtifactAccepted *accepted)
{
    const struct pen_link *link = pen_plane_link(self->plane, 0, accepted->agent_id);
    if (link == NULL)
        return; /* the agent commits it once more when it is back */
    Pen__ArtifactStored stored = PEN__ARTIFACT_STORED__INIT;
    stored.has_fence = accepted->has_fence;
    stored.fence = accepted->fence;
    stored.name = accepted->name;
    Pen__DataToAgent answer = PEN__DATA_TO_AGENT__INIT;
    answer.body_case = PEN__DATA_TO_AGENT__BODY_ARTIFACT_STORED;
    answer.artifact_stored = &stored;
    pen_data_answer(self, link, &answer);
}
