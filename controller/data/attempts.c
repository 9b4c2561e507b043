#include "controller/data/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/blob/archive.h"
#include "common/wire/wire.h"

static void forget_inputs(struct attempt *attempt)
{
    free(attempt->inputs);
    attempt->inputs = NULL;
    attempt->inputs_count = 0;
    attempt->inputs_capacity = 0;
}

static void forget_outputs(struct pen_data *self, struct attempt *attempt)
{
    for (size_t i = 0; attempt->outputs != NULL && i < attempt->open->n_outputs; i++) {
        if (attempt->outputs[i].commit_waits || attempt->outputs[i].arrived_waits)
            self->commits_waiting--;
    }
    free(attempt->outputs);
    attempt->outputs = NULL;
}

static void destroy(struct pen_data *self, struct attempt *attempt)
{
    pen_data_log_close(self, attempt);
    forget_inputs(attempt);
    forget_outputs(self, attempt);
    self->assembling_bytes -= attempt->assembling.size;
    pen_buf_release(&attempt->assembling);
    pen_message_destroy(&attempt->open);
    free(attempt);
}

static struct attempt *find(const struct pen_data *self, uint64_t fence)
{
    return pen_map_get(&self->attempts, pen_key_number(fence));
}

static int enter(struct pen_data *self, uint64_t fence, struct attempt **ret_attempt,
                 struct pen_error *err)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (attempt == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for attempt %" PRIu64, fence);
    attempt->fence = fence;
    attempt->log.fd = -1;
    int rc = pen_map_put(&self->attempts, pen_key_number(fence), attempt, err);
    if (rc < 0) {
        free(attempt);
        return rc;
    }
    *ret_attempt = attempt;
    return 0;
}

int pen_data_attempt_open(struct pen_data *self, Pen__AttemptOpen **open, struct pen_error *err)
{
    struct output *outputs = calloc((*open)->n_outputs + 1, sizeof outputs[0]);
    if (outputs == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for attempt %" PRIu64, (*open)->fence);
    struct attempt *attempt = find(self, (*open)->fence);
    if (attempt == NULL) {
        int rc = enter(self, (*open)->fence, &attempt, err);
        if (rc < 0) {
            free(outputs);
            return rc;
        }
    } else {
        /* The core says again what it said before, mostly with a wanted log size. What waits to be
         * checked is forgotten with the old list: the agent commits it once more. */
        forget_inputs(attempt);
        forget_outputs(self, attempt);
        pen_message_destroy(&attempt->open);
    }
    attempt->outputs = outputs;
    attempt->open = TAKE_PTR(*open);
    pen_data_log_opened(self, attempt);
    return 0;
}

void pen_data_attempt_close(struct pen_data *self, uint64_t fence)
{
    struct attempt *attempt = pen_map_remove(&self->attempts, pen_key_number(fence));
    if (attempt != NULL)
        destroy(self, attempt);
}

void pen_data_attempts_release(struct pen_data *self)
{
    struct pen_map_node *node = pen_map_first(&self->attempts);
    for (; node != NULL; node = pen_map_next(node))
        destroy(self, pen_map_value(node));
    pen_map_release(&self->attempts);
    free(self->dirty);
    self->dirty = NULL;
}

struct attempt *pen_data_attempt_of(struct pen_data *self, const struct pen_link *link,
                                    bool has_fence, uint64_t fence)
{
    struct attempt *attempt = has_fence ? find(self, fence) : NULL;
    if (attempt == NULL && has_fence) {
        pen_data_take_posts(self);
        attempt = find(self, fence);
    }
    if (attempt != NULL && pen_str_equal(attempt->open->agent_id, link->who.id))
        return attempt;
    /* One answer for all cases: what others are doing is nobody's business. */
    pen_data_refuse(self, link, PEN__REFUSED_CODE__FENCED, &(struct refusal){.fence = fence},
                    "no attempt of this fence is open for you");
    return NULL;
}

/* ---- inputs */

static int compare_inputs(const void *a, const void *b)
{
    const struct input_blob *first = a;
    const struct input_blob *second = b;
    return memcmp(first->sha256, second->sha256, PEN_SHA256_SIZE);
}

static int reserve_inputs(struct attempt *attempt, size_t more, struct pen_error *err)
{
    size_t capacity = attempt->inputs_count + more;
    if (capacity <= attempt->inputs_capacity)
        return 0;
    struct input_blob *inputs = reallocarray(attempt->inputs, capacity, sizeof inputs[0]);
    if (inputs == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the %zu blobs of the inputs", capacity);
    attempt->inputs = inputs;
    attempt->inputs_capacity = capacity;
    return 0;
}

static void add_input(struct attempt *attempt, const ProtobufCBinaryData *sha256,
                      uint64_t plain_size)
{
    CHECK(attempt->inputs != NULL && attempt->inputs_count < attempt->inputs_capacity);
    struct input_blob *input = &attempt->inputs[attempt->inputs_count++];
    memcpy(input->sha256, sha256->data, PEN_SHA256_SIZE);
    input->plain_size = plain_size;
}

/* Add one artifact's manifest and chunks. */
static int add_artifact(struct pen_data *self, struct attempt *attempt,
                        const Pen__ArtifactRef *artifact, struct pen_error *err)
{
    if (!artifact->has_manifest_sha256 || artifact->manifest_sha256.len != PEN_SHA256_SIZE)
        return pen_fail(err, PEN_ECORRUPT, "input '%s' names no manifest",
                        artifact->name == NULL ? "" : artifact->name);
    PEN_CLEANUP(pen_message_destroy) Pen__Manifest *manifest = NULL;
    int rc = pen_manifest_get(self->store, artifact->manifest_sha256.data, &manifest, err);
    if (rc < 0 || (rc = reserve_inputs(attempt, manifest->n_chunks + 1, err)) < 0)
        return rc;
    add_input(attempt, &artifact->manifest_sha256, pen__manifest__get_packed_size(manifest));
    for (size_t i = 0; i < manifest->n_chunks; i++) {
        if (manifest->chunks[i]->sha256.len != PEN_SHA256_SIZE)
            return pen_fail(err, PEN_ECORRUPT, "chunk %zu of input '%s' has no digest", i,
                            artifact->name == NULL ? "" : artifact->name);
        add_input(attempt, &manifest->chunks[i]->sha256, manifest->chunks[i]->size);
    }
    return 0;
}

static int build_inputs(struct pen_data *self, struct attempt *attempt, struct pen_error *err)
{
    for (size_t i = 0; i < attempt->open->n_inputs; i++) {
        int rc = add_artifact(self, attempt, attempt->open->inputs[i], err);
        if (rc < 0) {
            forget_inputs(attempt);
            return rc;
        }
    }
    if (attempt->inputs_count > 0)
        qsort(attempt->inputs, attempt->inputs_count, sizeof attempt->inputs[0], compare_inputs);
    return 0;
}

int pen_data_attempt_input(struct pen_data *self, struct attempt *attempt,
                           const uint8_t sha256[PEN_SHA256_SIZE],
                           const struct input_blob **ret_input, struct pen_error *err)
{
    if (attempt->inputs == NULL && attempt->open->n_inputs > 0) {
        int rc = build_inputs(self, attempt, err);
        if (rc < 0)
            return rc;
    }
    struct input_blob probe = {0};
    memcpy(probe.sha256, sha256, PEN_SHA256_SIZE);
    const struct input_blob *found =
        attempt->inputs == NULL
            ? NULL
            : bsearch(&probe, attempt->inputs, attempt->inputs_count, sizeof probe, compare_inputs);
    if (found == NULL)
        return pen_fail(err, PEN_EDENIED, "this blob belongs to no input of attempt %" PRIu64,
                        attempt->fence);
    *ret_input = found;
    return 0;
}
