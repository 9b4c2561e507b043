/* controller/app/controller.h - the controller as a whole: phases and wiring
 *
 *     OPEN_STORE -> LOAD -> LISTEN -> PLAN -> SERVE -> DRAIN -> CLOSE
 *
 * OPEN_STORE: data folder, lock, migrations, keys. LOAD: live rows into the engine. LISTEN: threads
 * bind. PLAN: everything pending is taken up again. SERVE: endpoints.json is written and READY
 * told. DRAIN: threads stop taking, the core finishes what it took. CLOSE: in reverse order.
 */
#ifndef PEN_CONTROLLER_APP_CONTROLLER_H
#define PEN_CONTROLLER_APP_CONTROLLER_H

#include <stdint.h>

#include "common/base/error.h"
#include "controller/model/validate.h"

struct pen_controller_settings {
    const char *dir;
    const char *http_address;
    const char *control_address;
    const char *bulk_address;
    const char *public_url; /* "": not told */
    const char *account;
    const char *region;
    int64_t poll_interval_ms;
    int64_t fetch_timeout_ms;
    int64_t heartbeat_ms;
    int64_t suspect_ms;
    int64_t lost_ms;
    int64_t approval_timeout_ms;
    int64_t action_timeout_ms;
    int64_t job_timeout_ms;
    int64_t job_visibility_ms;
    int64_t job_continuation_ms;
    uint32_t pipelines_max;
    uint32_t executions_max;
    uint32_t parallel_actions_max;
    struct pen_structure_limits structure;
    uint32_t webhooks_max;
    uint32_t action_types_max;
    uint32_t polling_pipelines_max;
    int64_t history_age_ms;
    uint32_t history_count;
    int64_t collect_interval_ms;
    uint64_t reserve_bytes;
};

/* Run until stop_fd is readable. Returns 0 after a clean end. */
int pen_controller_run(const struct pen_controller_settings *settings, int stop_fd,
                       struct pen_error *err);

#endif
