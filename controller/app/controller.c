#include "controller/app/controller.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/blob/blob.h"
#include "common/io/file.h"
#include "common/io/random.h"
#include "common/keys/curve.h"
#include "common/keys/seal.h"
#include "common/log/log.h"
#include "controller/app/administrator.h"
#include "controller/app/core.h"
#include "controller/artifacts/layout.h"
#include "controller/data/data.h"
#include "controller/dispatch/dispatch.h"
#include "controller/http/http.h"
#include "controller/post/post.h"
#include "controller/retention/retention.h"
#include "controller/sources/sources.h"

enum { CORE_POSTS_MAX = 65536 }; /* waiting inputs: seconds of work at full load */

/* Everything that is open, in the order in which it was opened. */
struct controller {
    const struct pen_controller_settings *settings;
    struct pen_store *store;
    struct pen_curve_pair server_keys;
    struct pen_sealer *sealer;
    struct pen_inbox *inbox;
    struct pen_http *http;
    struct pen_dispatch *dispatch;
    struct pen_data *data;
    struct pen_sources *sources;
    struct pen_retention *retention;
    struct pen_engine *engine;
    struct pen_core *core;
    bool has_access_key;
};

static void release(struct controller *self)
{
    pen_retention_stop(&self->retention);
    pen_sources_stop(&self->sources);
    pen_data_stop(&self->data);
    pen_dispatch_stop(&self->dispatch);
    pen_http_stop(&self->http);
    pen_core_destroy(&self->core);
    pen_engine_destroy(&self->engine);
    pen_inbox_destroy(&self->inbox);
    pen_sealer_destroy(&self->sealer);
    pen_store_close(&self->store);
    explicit_bzero(&self->server_keys, sizeof self->server_keys);
}

static int make_folders(const char *dir, struct pen_error *err)
{
    int rc = 0;
    static const char *const names[] = {"keys", "blobs", "logs", "mirrors", "repos", "pushes"};
    for (size_t i = 0; rc == 0 && i < sizeof names / sizeof names[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
        pen_layout_path(dir, names[i], &path);
        if ((rc = pen_buf_ok(&path, err)) == 0)
            rc = pen_dir_make(pen_buf_text(&path), 0700, err);
    }
    return rc;
}

static int open_store(struct controller *self, struct pen_error *err)
{
    const char *dir = self->settings->dir;
    PEN_CLEANUP(pen_buf_release) struct pen_buf curve_path = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf seal_path = {0};
    pen_layout_path(dir, "keys/curve.key", &curve_path);
    pen_layout_path(dir, "keys/seal.key", &seal_path);
    int rc = make_folders(dir, err);
    if (rc < 0 || (rc = pen_store_open(dir, &self->store, err)) < 0)
        return rc;
    PEN_CLEANUP(pen_buf_release) struct pen_buf blobs_path = {0};
    pen_layout_path(dir, "blobs", &blobs_path);
    if ((rc = pen_blob_store_clean(pen_buf_text(&blobs_path), err)) < 0) /* half-written ones */
        return rc;
    rc = pen_curve_pair_load_or_make(pen_buf_text(&curve_path), &self->server_keys, err);
    if (rc < 0)
        return rc;
    return pen_sealer_create(pen_buf_text(&seal_path), &self->sealer, err);
}

static int listen_all(struct controller *self, struct pen_error *err)
{
    const struct pen_controller_settings *with = self->settings;
    int rc = pen_inbox_create(CORE_POSTS_MAX, &self->inbox, err);
    if (rc < 0)
        return rc;
    const struct pen_http_options http = {.dir = with->dir,
                                          .address = with->http_address,
                                          .account = with->account,
                                          .region = with->region,
                                          .structure = &with->structure,
                                          .public_url = with->public_url,
                                          .sealer = self->sealer,
                                          .server_keys = &self->server_keys,
                                          .core = self->inbox};
    const struct pen_dispatch_options dispatch = {
        .address = with->control_address, .server_keys = &self->server_keys, .core = self->inbox};
    if ((rc = pen_http_start(&http, &self->http, err)) < 0 ||
        (rc = pen_dispatch_start(&dispatch, &self->dispatch, err)) < 0)
        return rc;
    const struct pen_data_options data = {.dir = with->dir,
                                          .address = with->bulk_address,
                                          .server_keys = &self->server_keys,
                                          .dispatch = self->dispatch,
                                          .core = self->inbox,
                                          .http = pen_http_inbox(self->http)};
    const struct pen_sources_options sources = {.dir = with->dir,
                                                .poll_interval_ms = with->poll_interval_ms,
                                                .fetch_timeout_ms = with->fetch_timeout_ms,
                                                .sealer = self->sealer,
                                                .core = self->inbox};
    if ((rc = pen_data_start(&data, &self->data, err)) < 0)
        return rc;
    const struct pen_retention_options retention = {
        .dir = with->dir, .interval_ms = with->collect_interval_ms, .core = self->inbox};
    if ((rc = pen_sources_start(&sources, &self->sources, err)) < 0)
        return rc;
    return pen_retention_start(&retention, &self->retention, err);
}

static uint32_t port_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    return colon == NULL ? 0 : (uint32_t)strtoul(colon + 1, NULL, 10);
}

static int load_row(void *context, Pen__RowKind kind, const uint8_t *body, size_t size,
                    struct pen_error *err)
{
    struct controller *self = context;
    if (kind == PEN__ROW_KIND__ROW_ACCESS_KEY)
        self->has_access_key = true;
    return pen_engine_load(self->engine, kind, body, size, err);
}

static int load(struct controller *self, struct pen_error *err)
{
    const struct pen_controller_settings *with = self->settings;
    struct pen_engine_options options;
    pen_engine_options_default(&options);
    options.account = with->account;
    options.region = with->region;
    options.heartbeat_ms = with->heartbeat_ms;
    options.suspect_ms = with->suspect_ms;
    options.lost_ms = with->lost_ms;
    options.approval_timeout_ms = with->approval_timeout_ms;
    options.action_timeout_ms = with->action_timeout_ms;
    options.job_timeout_ms = with->job_timeout_ms;
    options.job_visibility_ms = with->job_visibility_ms;
    options.job_continuation_ms = with->job_continuation_ms;
    options.pipelines_max = with->pipelines_max;
    options.executions_max = with->executions_max;
    options.parallel_actions_max = with->parallel_actions_max;
    options.webhooks_max = with->webhooks_max;
    options.action_types_max = with->action_types_max;
    options.polling_pipelines_max = with->polling_pipelines_max;
    options.history_age_ms = with->history_age_ms;
    options.history_count = with->history_count;
    options.bulk_port = port_of(pen_data_endpoint(self->data));
    int rc = pen_random_bytes(options.seed, sizeof options.seed, err);
    if (rc < 0 || (rc = pen_engine_create(&options, &self->engine, err)) < 0)
        return rc;
    return pen_store_load_live(self->store, load_row, self, err);
}

static int make_core(struct controller *self, struct pen_error *err)
{
    const struct pen_core_options core = {.dir = self->settings->dir,
                                          .engine = self->engine,
                                          .store = self->store,
                                          .inbox = self->inbox,
                                          .dispatch = pen_dispatch_inbox(self->dispatch),
                                          .data = pen_data_inbox(self->data),
                                          .http = pen_http_inbox(self->http),
                                          .sources = pen_sources_inbox(self->sources),
                                          .retention = pen_retention_inbox(self->retention),
                                          .reserve_bytes = self->settings->reserve_bytes};
    return pen_core_create(&core, &self->core, err);
}

/* Programs and scripts find the ports here. It is there while the controller serves: what a killed
 * one has left goes away before this one binds anything. */
static void withdraw_endpoints(const struct controller *self)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    pen_layout_path(self->settings->dir, "endpoints.json", &path);
    (void)unlink(pen_buf_text(&path));
}

static int write_endpoints(const struct controller *self, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf path = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_layout_path(self->settings->dir, "endpoints.json", &path);
    pen_buf_printf(&text, "{\"http\":\"%s\",\"control\":\"%s\",\"bulk\":\"%s\"}\n",
                   pen_http_endpoint(self->http), pen_dispatch_endpoint(self->dispatch),
                   pen_data_endpoint(self->data));
    return pen_file_replace(pen_buf_text(&path), text.data, text.size, 0644, err);
}

static int serve(struct controller *self, int stop_fd, struct pen_error *err)
{
    int rc = write_endpoints(self, err);
    if (rc < 0)
        return rc;
    pen_log(PEN_LOG_INFO, "serving", "http=%s control=%s bulk=%s", pen_http_endpoint(self->http),
            pen_dispatch_endpoint(self->dispatch), pen_data_endpoint(self->data));
    const struct pen_post serve = {.kind = PEN_POST_SERVE};
    if ((rc = pen_inbox_post_wait(pen_dispatch_inbox(self->dispatch), &serve, err)) < 0 ||
        (rc = pen_inbox_post_wait(pen_http_inbox(self->http), &serve, err)) < 0)
        return rc;
    (void)sd_notify(0, "READY=1");
    rc = pen_core_run(self->core, stop_fd, err);
    withdraw_endpoints(self);
    (void)sd_notify(0, "STOPPING=1");
    return rc;
}

static int run(struct controller *self, int stop_fd, struct pen_error *err)
{
    int rc = open_store(self, err);
    if (rc < 0)
        return rc;
    withdraw_endpoints(self);
    if ((rc = listen_all(self, err)) < 0 || (rc = load(self, err)) < 0 ||
        (rc = make_core(self, err)) < 0 || (rc = pen_core_plan(self->core, err)) < 0)
        return rc;
    if (!self->has_access_key) {
        const struct pen_administrator administrator = {.dir = self->settings->dir,
                                                        .account = self->settings->account,
                                                        .region = self->settings->region,
                                                        .endpoint = pen_http_endpoint(self->http),
                                                        .sealer = self->sealer};
        if ((rc = pen_administrator_make(&administrator, self->core, err)) < 0)
            return rc;
    }
    return serve(self, stop_fd, err);
}

/* What a first start that was broken off may have left. */
static const char *const before_database[] = {"keys",  "blobs",  "logs",          "mirrors",
                                              "repos", "pushes", "penstock.lock", NULL};

/* The data folder's absolute path: it is shown to people and handed to children. */
static int resolve_folder(const char *dir, char **ret_path, struct pen_error *err)
{
    int rc = pen_dir_claim(dir, 0700, "penstock.db", before_database, err);
    if (rc < 0)
        return rc;
    char *path = realpath(dir, NULL);
    if (path == NULL)
        return pen_fail_errno(err, "the data folder '%s'", dir);
    *ret_path = path;
    return 0;
}

int pen_controller_run(const struct pen_controller_settings *settings, int stop_fd,
                       struct pen_error *err)
{
    PEN_CLEANUP(pen_free) char *dir = NULL;
    int rc = resolve_folder(settings->dir, &dir, err);
    if (rc < 0)
        return rc;
    struct pen_controller_settings absolute = *settings;
    absolute.dir = dir;
    struct controller self = {.settings = &absolute};
    rc = run(&self, stop_fd, err);
    release(&self);
    return rc;
}
