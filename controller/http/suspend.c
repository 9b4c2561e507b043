/* Exchanges that wait: for the core's Reply, or for news. */
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "controller/http/door.h"

void http_suspend(struct exchange *self, int64_t deadline_ms)
{
    self->deadline_ms = deadline_ms;
    if (self->suspended)
        return; /* it goes on waiting */
    struct pen_http *door = self->door;
    self->suspended = true;
    self->next = NULL;
    self->previous = door->suspended_last;
    if (self->previous != NULL)
        self->previous->next = self;
    else
        door->suspended_first = self;
    door->suspended_last = self;
    MHD_suspend_connection(self->connection);
}

void http_forget(struct exchange *self)
{
    struct pen_http *door = self->door;
    if (!self->suspended)
        return;
    if (self->previous != NULL)
        self->previous->next = self->next;
    else
        door->suspended_first = self->next;
    if (self->next != NULL)
        self->next->previous = self->previous;
    else
        door->suspended_last = self->previous;
    self->suspended = false;
    self->next = NULL;
    self->previous = NULL;
}

void http_settle(struct exchange *self)
{
    if (!self->answered || !self->suspended)
        return;
    http_forget(self);
    MHD_resume_connection(self->connection);
    self->door->resumed = true;
}

void http_on_reply(struct pen_http *door, const Pen__Reply *reply)
{
    if (reply->correlation != 0 && reply->correlation == door->health.asked) {
        http_health_reply(door, reply);
        return;
    }
    /* The core answers in the order it was asked: the first is mostly the one. */
    for (struct exchange *at = door->suspended_first; at != NULL; at = at->next) {
        if (at->correlation != 0 && at->correlation == reply->correlation) {
            http_api_reply(at, reply);
            http_settle(at);
            return;
        }
    }
}

/* Whether `id` is one of the lines of `ids`. */
static bool is_line_of(const char *ids, const char *id)
{
    size_t size = strlen(id);
    while (*ids != '\0') {
        size_t line = strcspn(ids, "\n");
        if (line == size && memcmp(ids, id, size) == 0)
            return true;
        ids += line;
        ids += *ids == '\n';
    }
    return false;
}

void http_on_committed(struct pen_http *door, const char *execution_ids)
{
    struct exchange *next = NULL;
    for (struct exchange *at = door->suspended_first; at != NULL; at = next) {
        next = at->next;
        if (at->correlation != 0)
            continue;
        const char *wanted = at->call.wait.execution_id;
        if (wanted[0] == '\0' || is_line_of(execution_ids, wanted)) {
            http_api_again(at, false);
            http_settle(at);
        }
    }
}

void http_on_log_grew(struct pen_http *door, uint64_t fence)
{
    struct exchange *next = NULL;
    for (struct exchange *at = door->suspended_first; at != NULL; at = next) {
        next = at->next;
        if (at->correlation == 0 && at->call.wait.fence != 0 && at->call.wait.fence == fence) {
            http_api_again(at, false);
            http_settle(at);
        }
    }
}

static void outcome_unknown(struct exchange *self)
{
    if (self->asks_health) { /* nothing was to be carried out */
        if (self->correlation == self->door->health.asked)
            self->door->health.asked = 0;
        exchange_answer_error(self, "ServiceUnavailableException",
                              "The controller's core does not answer.");
        return;
    }
    exchange_answer_error(self, "ServiceUnavailableException",
                          "The controller did not answer in time, and it is not known whether the "
                          "request was carried out. Look before you try again: the Get and List "
                          "operations show what is there, and a StartPipelineExecution with the "
                          "same clientRequestToken starts nothing twice.");
}

static void expire(struct exchange *self)
{
    if (self->correlation != 0)
        outcome_unknown(self);
    else
        http_api_again(self, true);
    CHECK(self->answered || self->correlation != 0);
    http_settle(self);
}

int64_t http_expire(struct pen_http *door, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    struct exchange *next = NULL;
    for (struct exchange *at = door->suspended_first; at != NULL; at = next) {
        next = at->next;
        if (at->deadline_ms <= now_ms)
            expire(at);
        else if (at->deadline_ms < next_ms)
            next_ms = at->deadline_ms;
    }
    return next_ms;
}

void http_expire_all(struct pen_http *door)
{
    while (door->suspended_first != NULL) {
        struct exchange *at = door->suspended_first;
        if (at->correlation == 0)
            exchange_answer_error(at, "ServiceUnavailableException",
                                  "The controller is stopping: ask again.");
        else
            outcome_unknown(at);
        http_settle(at);
    }
}
