/* Which request is what. */
#include <string.h>

#include "controller/http/door.h"

static void not_found(struct exchange *self)
{
    exchange_answer_error(self, "NotFoundException",
                          "There is nothing at this path. The API is POST / with X-Amz-Target; "
                          "/healthz and /readyz say how the controller does.");
}

static void wrong_method(struct exchange *self, const char *allowed)
{
    self->allow = allowed;
    exchange_answer_error(self, "MethodNotAllowedException", "This path does not know the method.");
}

static void say(struct exchange *self, const char *status)
{
    json_t *output = json_pack("{s:s}", "status", status);
    exchange_answer_output(self, output);
    json_decref(output);
}

/* The thread lives. */
static void healthz(struct exchange *self, const struct pen_http_head *head)
{
    (void)head;
    say(self, "ok");
}

/* A path that ends in '/' stands for all below it. */
static const struct {
    const char *path;
    const char *method;
    const char *allow;
    bool early; /* answered before all is loaded */
    void (*handle)(struct exchange *self, const struct pen_http_head *head);
} routes[] = {
    {"/", "POST", "POST", false, http_api},
    {"/hooks/connection/", "POST", "POST", false, http_connection_hook},
    {"/hooks/webhook/", "POST", "POST", false, http_webhook},
    {"/healthz", "GET", "GET, HEAD", true, healthz},
    {"/readyz", "GET", "GET, HEAD", true, http_readyz},
};

/* What is not loaded yet would be called unknown: a key, a webhook. Clients try again by
 * themselves. */
static void not_yet(struct exchange *self)
{
    exchange_answer_error(self, "ServiceUnavailableException",
                          "The controller is starting; try again in a second.");
}

static bool covers(const char *path, const char *target, size_t size)
{
    size_t own = strlen(path);
    bool below = own > 1 && path[own - 1] == '/' && size > own;
    return (below || size == own) && memcmp(path, target, own) == 0;
}

void http_route(struct exchange *self)
{
    struct pen_http_head head;
    if (pen_http_head_read(self->connection, &head, &self->err) < 0) {
        exchange_answer_error(self, "ValidationException", self->err.message);
        return;
    }
    if (http_foreign(self, &head))
        return;
    size_t path_size = strcspn(self->target, "?");
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!covers(routes[i].path, self->target, path_size))
            continue;
        if (!routes[i].early && !self->door->serving) {
            not_yet(self);
            return;
        }
        bool is_head = strcmp(self->method, "HEAD") == 0 && strcmp(routes[i].method, "GET") == 0;
        if (is_head || strcmp(self->method, routes[i].method) == 0)
            routes[i].handle(self, &head);
        else
            wrong_method(self, routes[i].allow);
        return;
    }
    not_found(self);
}
