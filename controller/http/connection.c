/* The library's callbacks: connections, heads, bodies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/io/random.h"
#include "common/log/log.h"
#include "controller/http/door.h"

static struct http_link *link_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void set_deadline(struct MHD_Connection *connection, int64_t deadline_ms)
{
    struct http_link *link = link_of(connection);
    if (link != NULL)
        link->deadline_ms = deadline_ms;
}

static void open_link(struct pen_http *door, struct MHD_Connection *connection, void **context)
{
    struct http_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return; /* it still has the library's idle time-out */
    link->connection = connection;
    link->deadline_ms = pen_clock_monotonic_ms() + HTTP_REQUEST_MS;
    link->next = door->links;
    if (link->next != NULL)
        link->next->previous = link;
    door->links = link;
    *context = link;
}

static void close_link(struct pen_http *door, void **context)
{
    struct http_link *link = *context;
    if (link == NULL)
        return;
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        door->links = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    free(link);
    *context = NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **link,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        open_link(context, connection, link);
    else
        close_link(context, link);
}

int64_t http_links_sweep(struct pen_http *door, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (struct http_link *link = door->links; link != NULL; link = link->next) {
        if (link->cut)
            continue;
        if (link->deadline_ms > now_ms) {
            next_ms = link->deadline_ms < next_ms ? link->deadline_ms : next_ms;
            continue;
        }
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(link->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        link->cut = true;
        if (info != NULL) /* the library sees the end and closes it */
            (void)shutdown(info->connect_fd, SHUT_RDWR);
    }
    return next_ms;
}

/* Called with the request line: the raw target is seen here only. */
static void *on_request_line(void *context, const char *target, struct MHD_Connection *connection)
{
    struct pen_http *door = context;
    struct exchange *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->door = door;
    self->connection = connection;
    self->target = strdup(target);
    self->began_us = pen_clock_monotonic_us();
    set_deadline(connection, pen_clock_monotonic_ms() + HTTP_REQUEST_MS);
    if (self->target == NULL || pen_random_uuid(self->request_id, NULL) < 0)
        exchange_destroy(&self);
    return self;
}

static void log_done(const struct exchange *self)
{
    bool quiet = self->status == MHD_HTTP_OK && self->operation_name == NULL;
    pen_log(quiet ? PEN_LOG_DEBUG : PEN_LOG_INFO, "request",
            "request=%s operation=%s target=%.*s principal=%s status=%u error=%s micros=%" PRId64,
            self->request_id, self->operation_name == NULL ? "-" : self->operation_name,
            (int)http_target_shown(self->target), self->target,
            self->principal.arn[0] == '\0' ? "-" : self->principal.arn, self->status,
            self->error_name[0] == '\0' ? "-" : self->error_name,
            pen_clock_monotonic_us() - self->began_us);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)code;
    struct exchange *self = *request;
    if (self != NULL && self->head_seen)
        log_done(self);
    exchange_destroy(&self);
    *request = NULL;
    set_deadline(connection, pen_clock_monotonic_ms() + HTTP_REQUEST_MS);
}

/* Git servers send what was pushed, clients what a person has written. */
static size_t body_limit(const struct exchange *self)
{
    return self->of_hook ? PEN_LIMIT_HOOK_BODY_BYTES : PEN_LIMIT_HTTP_BODY_BYTES;
}

/* Bodies in memory: calls that have not proven themselves yet leave the API its room. */
static size_t *bodies_of(struct exchange *self)
{
    return self->of_hook ? &self->door->hook_bodies_size : &self->door->bodies_size;
}

static void refuse_too_large(struct exchange *self)
{
    char message[80];
    (void)snprintf(message, sizeof message, "The body of %s has at most %zu bytes.",
                   self->of_hook ? "a hook's call" : "a request", body_limit(self));
    exchange_answer_error(self, "RequestEntityTooLargeException", message);
    self->close = true;
}

/* A reply queued here, before the body is read, also ends the connection: that is what it is for.
 */
static enum MHD_Result on_head(struct exchange *self, const char *method, const char *version)
{
    self->head_seen = true;
    self->of_hook = pen_str_starts_with(self->target, "/hooks/");
    (void)pen_str_copy(self->method, sizeof self->method, method);
    struct pen_http_head head;
    uint64_t length = 0;
    int rc = pen_http_head_read(self->connection, &head, &self->err);
    if (rc == 0)
        rc = pen_http_head_check(&head, self->target, version, &length, &self->err);
    if (rc < 0) {
        exchange_answer_error(self, "ValidationException", self->err.message);
        self->close = true;
        return exchange_send(self);
    }
    if (length > body_limit(self)) {
        refuse_too_large(self);
        return exchange_send(self);
    }
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *self, const char *bytes, size_t *size)
{
    size_t room = body_limit(self) - self->body.size;
    if (*size > room)
        self->too_large = true;
    if (*bodies_of(self) + *size > HTTP_BODIES_MAX)
        self->too_busy = true;
    if (self->too_large || self->too_busy) {
        self->discarded += *size;
        *size = 0;
        return self->discarded > HTTP_DISCARD_MAX ? MHD_NO : MHD_YES;
    }
    pen_buf_append(&self->body, bytes, *size);
    if (pen_buf_ok(&self->body, NULL) < 0)
        return MHD_NO;
    *bodies_of(self) += *size;
    *size = 0;
    return MHD_YES;
}

static void handle(struct exchange *self)
{
    self->handled = true;
    set_deadline(self->connection, INT64_MAX);
    if (self->too_large) {
        refuse_too_large(self);
    } else if (self->too_busy) {
        exchange_answer_error(self, "ServiceUnavailableException",
                              "Too many large requests at once: nothing was done, try again.");
        self->close = true;
    } else {
        http_route(self);
    }
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    (void)context;
    (void)connection;
    (void)url;
    struct exchange *self = *request;
    if (self == NULL)
        return MHD_NO;
    if (!self->head_seen)
        return on_head(self, method, version);
    if (*upload_size > 0)
        return on_body(self, upload, upload_size);
    if (!self->handled)
        handle(self);
    if (!self->answered)
        return MHD_YES; /* suspended */
    set_deadline(self->connection, pen_clock_monotonic_ms() + HTTP_ANSWER_MS);
    return exchange_send(self);
}

__attribute__((format(printf, 2, 0))) static void on_library_log(void *context, const char *format,
                                                                 va_list args)
{
    (void)context;
    char text[256];
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    pen_log(PEN_LOG_DEBUG, "http library", "says=%s", text);
}

int http_daemon_start(struct pen_http *door, struct pen_error *err)
{
    door->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        door, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        door->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, door,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, door, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, door, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)HTTP_CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
        MHD_OPTION_END);
    if (door->daemon == NULL)
        return pen_fail(err, PEN_EIO, "the HTTP library does not start");
    door->listen_fd = -1; /* the daemon's from here on */
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return pen_fail(err, PEN_EIO, "the HTTP library has no epoll set");
    door->epoll_fd = info->epoll_fd;
    return 0;
}
