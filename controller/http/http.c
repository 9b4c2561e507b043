#include "controller/http/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/file.h"
#include "common/log/log.h"
#include "common/wire/wire.h"
#include "controller/http/door.h"
#include "controller/http/listener.h"

enum { POSTS_A_TURN = 64 };

static void on_effect(struct pen_http *self, const Pen__Effect *effect)
{
    struct pen_error err;
    if (effect->what_case == PEN__EFFECT__WHAT_REPLY) {
        http_on_reply(self, effect->reply);
    } else if (effect->what_case == PEN__EFFECT__WHAT_KEY_LOADED &&
               effect->key_loaded->access_key != NULL) {
        const Pen__AccessKeyRow *row = effect->key_loaded->access_key;
        if (pen_access_keys_put(self->keys, row, self->services.sealer, &err) < 0)
            pen_log(PEN_LOG_ERROR, "access key not usable", "key=%s error=%s",
                    row->id == NULL ? "-" : row->id, err.message);
    }
}

static void on_post(struct pen_http *self, const struct pen_post *post)
{
    switch (post->kind) {
    case PEN_POST_EFFECT:
        on_effect(self, post->body);
        break;
    case PEN_POST_COMMITTED:
        http_on_committed(self, post->body == NULL ? "" : post->body);
        break;
    case PEN_POST_LOG_GREW:
        http_on_log_grew(self, post->number);
        break;
    case PEN_POST_SERVE:
        self->serving = true;
        break;
    case PEN_POST_STOP:
        self->actor.stopping = true;
        break;
    default:
        break; /* not for us */
    }
}

static void take_posts(struct pen_http *self)
{
    struct pen_post posts[POSTS_A_TURN];
    size_t count = pen_inbox_take(self->actor.inbox, posts, POSTS_A_TURN);
    for (size_t i = 0; i < count; i++) {
        on_post(self, &posts[i]);
        pen_post_release(&posts[i]);
    }
}

/* Milliseconds until something is due; -1 for never. */
static int wait_ms(struct pen_http *self, int64_t deadline_ms)
{
    int64_t wait = -1;
    if (deadline_ms != INT64_MAX) {
        wait = deadline_ms - pen_clock_monotonic_ms();
        wait = wait < 0 ? 0 : wait;
    }
    MHD_UNSIGNED_LONG_LONG library_ms = 0;
    if (MHD_get_timeout(self->daemon, &library_ms) == MHD_YES &&
        (wait < 0 || library_ms < (unsigned long long)wait))
        wait = library_ms > 60000 ? 60000 : (int64_t)library_ms;
    return wait > 60000 ? 60000 : (int)wait;
}

static int turn(void *context, struct pen_error *err)
{
    struct pen_http *self = context;
    self->resumed = false;
    if (MHD_run(self->daemon) != MHD_YES)
        return pen_fail(err, PEN_EIO, "the HTTP library has failed");
    int64_t now_ms = pen_clock_monotonic_ms();
    int64_t expire_ms = http_expire(self, now_ms);
    int64_t sweep_ms = http_links_sweep(self, now_ms);
    struct pollfd sources[] = {
        {.fd = self->epoll_fd, .events = POLLIN},
        {.fd = pen_inbox_fd(self->actor.inbox), .events = POLLIN},
    };
    int wait = self->resumed ? 0 : wait_ms(self, expire_ms < sweep_ms ? expire_ms : sweep_ms);
    if (poll(sources, 2, wait) < 0 && errno != EINTR)
        return pen_fail_errno(err, "poll of the HTTP thread");
    if (sources[1].revents != 0)
        take_posts(self);
    return 0;
}

/* The last answers leave; nothing new is taken. */
static void drain(void *context)
{
    struct pen_http *self = context;
    MHD_socket listening = MHD_quiesce_daemon(self->daemon);
    if (listening != MHD_INVALID_SOCKET)
        (void)close(listening);
    http_expire_all(self);
    int64_t until_ms = pen_clock_monotonic_ms() + HTTP_STOP_MS;
    for (;;) {
        (void)MHD_run(self->daemon);
        http_expire_all(self); /* a request that came in meanwhile */
        bool owing = false;
        for (const struct http_link *link = self->links; link != NULL; link = link->next)
            owing |= link->deadline_ms == INT64_MAX;
        if (!owing || pen_clock_monotonic_ms() >= until_ms)
            break;
        struct pollfd source = {.fd = self->epoll_fd, .events = POLLIN};
        (void)poll(&source, 1, 20);
    }
    (void)MHD_run(self->daemon);
}

static int copy_options(struct pen_http *self, const struct pen_http_options *options,
                        struct pen_error *err)
{
    if (!pen_str_set(&self->dir, options->dir) || !pen_str_set(&self->account, options->account) ||
        !pen_str_set(&self->region, options->region) ||
        !pen_str_set(&self->public_url, options->public_url))
        return pen_fail(err, PEN_ENOMEM, "no memory for the HTTP door");
    self->actor = (struct pen_actor){.who = PEN_THREAD_HTTP,
                                     .name = "http",
                                     .turn = turn,
                                     .finish = drain,
                                     .context = self,
                                     .core = options->core};
    self->services = (struct pen_services){
        .dir = self->dir,
        .account = self->account,
        .region = self->region,
        .structure = options->structure,
        .public_url = self->public_url,
        .sealer = options->sealer,
        .server_keys = options->server_keys,
        .started_ms = pen_clock_monotonic_ms(),
    };
    static const char purpose[] = "page tokens";
    pen_hmac_sha256(options->server_keys->secret_key, PEN_CURVE_KEY_SIZE, purpose, strlen(purpose),
                    self->services.page_key);
    return 0;
}

void pen_http_stop(struct pen_http **self_p)
{
    struct pen_http *self = *self_p;
    if (self == NULL)
        return;
    pen_actor_stop(&self->actor);
    if (self->daemon != NULL)
        MHD_stop_daemon(self->daemon);
    pen_fd_close(&self->listen_fd);
    pen_reader_close(&self->services.reader);
    pen_access_keys_destroy(&self->keys);
    pen_buf_release(&self->endpoint);
    http_health_release(&self->health);
    free(self->dir);
    free(self->account);
    free(self->region);
    free(self->public_url);
    free(self);
    *self_p = NULL;
}

int pen_http_start(const struct pen_http_options *options, struct pen_http **ret_http,
                   struct pen_error *err)
{
    PEN_CLEANUP(pen_http_stop) struct pen_http *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the HTTP door");
    self->listen_fd = -1;
    int rc = copy_options(self, options, err);
    if (rc < 0 || (rc = pen_services_prepare(err)) < 0 ||
        (rc = pen_access_keys_create(&self->keys, err)) < 0 ||
        (rc = pen_actor_open(&self->actor, HTTP_INBOX_POSTS, err)) < 0 ||
        (rc = pen_reader_open(options->dir, &self->services.reader, err)) < 0 ||
        (rc = pen_listener_open(options->address, &self->listen_fd, &self->endpoint, err)) < 0 ||
        (rc = http_daemon_start(self, err)) < 0 || (rc = pen_actor_start(&self->actor, err)) < 0)
        return rc;
    *ret_http = TAKE_PTR(self);
    return 0;
}

const char *pen_http_endpoint(const struct pen_http *self)
{
    return pen_buf_text(&self->endpoint);
}

struct pen_inbox *pen_http_inbox(struct pen_http *self)
{
    return self->actor.inbox;
}
