/* tests/sim/data.c - the data plane in small: whole logs and artifacts, until they are confirmed */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/failpoint.h"
#include "tests/sim/sim.h"

static void fire_data(struct sim *sim, struct sim_event *event);

static void arm(struct sim *sim, struct host *host, int64_t in_ms)
{
    if (host->data_armed)
        return;
    host->data_armed = true;
    sim_at(sim, in_ms, fire_data)->host = host->index;
}

static void add(struct sim *sim, struct host *host, struct upload upload)
{
    for (size_t i = 0; i < host->uploads_count; i++)
        if (host->uploads[i].fence == upload.fence &&
            pen_str_equal(host->uploads[i].name, upload.name)) {
            free(upload.name);
            return;
        }
    if (host->uploads_count == host->uploads_room) {
        host->uploads_room = host->uploads_room == 0 ? 8 : 2 * host->uploads_room;
        host->uploads = realloc(host->uploads, host->uploads_room * sizeof upload);
        CHECK(host->uploads != NULL);
    }
    host->uploads[host->uploads_count++] = upload;
    arm(sim, host, 10 + sim_around(sim, 100));
}

void data_upload(struct sim *sim, struct host *host, uint64_t fence,
                 const Pen__ArtifactRef *artifact)
{
    struct upload upload = {
        .fence = fence, .name = mem_text(artifact->name), .size = artifact->size};
    memcpy(upload.sha, artifact->manifest_sha256.data, sizeof upload.sha);
    add(sim, host, upload);
}

void data_log(struct sim *sim, struct host *host, uint64_t fence, uint64_t size)
{
    add(sim, host, (struct upload){.fence = fence, .size = size});
}

void data_go_on(struct sim *sim, struct host *host)
{
    if (host->uploads_count > 0)
        arm(sim, host, 10);
}

void data_release(struct sim *sim, struct host *host, uint64_t fence)
{
    (void)sim;
    size_t kept = 0;
    for (size_t i = 0; i < host->uploads_count; i++) {
        if (fence != 0 && host->uploads[i].fence != fence)
            host->uploads[kept++] = host->uploads[i];
        else
            free(host->uploads[i].name);
    }
    host->uploads_count = kept;
}

/* ---- the controller's side */

static uint64_t *log_on_disk(struct sim *sim, uint64_t fence)
{
    uint64_t *size = pen_map_get(&sim->core.logs, pen_key_number(fence));
    if (size == NULL) {
        size = mem_zero(sizeof *size);
        mem_put(&sim->core.logs, pen_key_number(fence), size);
    }
    return size;
}

static void tell_log(struct sim *sim, uint64_t fence, uint64_t wanted)
{
    uint64_t stored = *log_on_disk(sim, fence);
    if (sim->options.plant == PLANT_EARLY_LOG && sim_chance(sim, 200))
        stored = wanted;
    if (wanted == 0 || stored < wanted)
        return;
    Pen__LogStored *body = MAKE(Pen__LogStored, pen__log_stored__init);
    SET(body, fence, fence);
    SET(body, size, stored);
    core_post(sim, core_input(PEN__INPUT__WHAT_LOG_STORED, body));
}

void data_open(struct sim *sim, const Pen__AttemptOpen *open)
{
    struct data_attempt *attempt = pen_map_get(&sim->core.opened, pen_key_number(open->fence));
    if (attempt == NULL) {
        attempt = mem_zero(sizeof *attempt);
        mem_put(&sim->core.opened, pen_key_number(open->fence), attempt);
    }
    mem_set_text(&attempt->agent_id, open->agent_id);
    attempt->wanted = open->wanted_log_size;
    tell_log(sim, open->fence, attempt->wanted);
}

static void store_artifact(struct sim *sim, const struct upload *upload)
{
    Pen__ArtifactArrived *body = MAKE(Pen__ArtifactArrived, pen__artifact_arrived__init);
    SET(body, fence, upload->fence);
    body->artifact = MAKE(Pen__ArtifactRef, pen__artifact_ref__init);
    body->artifact->name = mem_text(upload->name);
    SET(body->artifact, size, upload->size);
    body->artifact->has_manifest_sha256 = 1;
    body->artifact->manifest_sha256 =
        mem_bytes((ProtobufCBinaryData){sizeof upload->sha, (uint8_t *)upload->sha});
    core_post(sim, core_input(PEN__INPUT__WHAT_ARTIFACT_ARRIVED, body));
}

void data_accepted(struct sim *sim, const Pen__ArtifactAccepted *accepted)
{
    for (int i = 0; i < SIM_HOSTS_MAX; i++) {
        struct host *host = &sim->hosts[i];
        if (!pen_str_equal(host->agent_id, accepted->agent_id) || !net_open(sim, host))
            continue;
        for (size_t k = 0; k < host->uploads_count; k++)
            if (host->uploads[k].fence == accepted->fence &&
                pen_str_equal(host->uploads[k].name, accepted->name))
                host->uploads[k].done = true;
    }
}

static void fire_data(struct sim *sim, struct sim_event *event)
{
    struct host *host = &sim->hosts[event->host];
    host->data_armed = false;
    if (host->session == NULL || pause_host(sim, host))
        return; /* see data_go_on */
    bool open = net_open(sim, host) && pen_session_welcomed(host->session);
    bool left = false;
    for (size_t i = 0; i < host->uploads_count; i++) {
        struct upload *upload = &host->uploads[i];
        if (upload->done)
            continue;
        const struct data_attempt *attempt =
            open ? pen_map_get(&sim->core.opened, pen_key_number(upload->fence)) : NULL;
        left = true;
        if (attempt == NULL || !pen_str_equal(attempt->agent_id, host->agent_id))
            continue; /* refused or not reached: tried again until it is released */
        if (upload->name != NULL) {
            if (failpoint_data(sim, PLACE_BLOB))
                break;
            store_artifact(sim, upload);
            continue;
        }
        uint64_t *stored = log_on_disk(sim, upload->fence);
        uint64_t lacking = upload->size > *stored ? upload->size - *stored : 0;
        if (sim->story != NULL && lacking > 0)
            *stored += lacking > 1000 ? lacking - 1000 : lacking; /* in few pieces */
        else if (lacking > 0)
            *stored += 1 + sim_below(sim, lacking);
        if (failpoint_data(sim, PLACE_LOG))
            break;
        upload->done = *stored >= upload->size;
        tell_log(sim, upload->fence, attempt->wanted);
    }
    if (left)
        arm(sim, host, 300 + sim_around(sim, 700));
}
