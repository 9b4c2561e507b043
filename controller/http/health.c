/* GET /readyz: may work be sent here, and does anything stand in its way?
 *
 * Ready is a controller that has loaded all, whose store can be read, whose core answers, and
 * whose disk takes what is decided. Who is not signed in learns the stable names of what is wrong
 * (controller/engine/explain.h, health.c) and nothing of whose work it is about; the names are
 * beside the status, "ready" all the same: a proxy must not turn everybody away because one
 * pipeline waits for a label that nobody has.
 *
 * The core is asked once for all that ask at one time, and at most once a second.
 */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "controller/http/door.h"
#include "controller/services/output.h"

enum { HEALTH_FRESH_MS = 1000 };

static void answer_known(struct exchange *self)
{
    const struct http_health *health = &self->door->health;
    if (health->obstacle.size > 0)
        exchange_answer_error(self, "ServiceUnavailableException", pen_buf_text(&health->obstacle));
    else
        exchange_answer_output(self, health->output);
}

/* Each name once. */
static void put_problem(json_t *problems, const char *name)
{
    size_t index;
    json_t *each;
    json_array_foreach(problems, index, each)
    {
        if (pen_str_equal(json_string_value(each), name))
            return;
    }
    (void)json_array_append_new(problems, json_string(name));
}

void http_health_reply(struct pen_http *door, const Pen__Reply *reply)
{
    struct http_health *health = &door->health;
    health->asked = 0;
    health->known_ms = pen_clock_monotonic_ms();
    pen_buf_clear(&health->obstacle);
    json_decref(health->output);
    json_t *problems = json_array();
    for (size_t i = 0; i < reply->n_reasons; i++) {
        const Pen__Reason *reason = reply->reasons[i];
        put_problem(problems, reason->predicate);
        if (pen_str_equal(reason->predicate, "disk_full"))
            pen_buf_puts(&health->obstacle, "The controller's disk is full: nothing is taken until "
                                            "there is space.");
    }
    if (reply->error != NULL)
        pen_buf_puts(&health->obstacle, reply->message == NULL ? reply->error : reply->message);
    health->output = json_pack("{s:s, s:o}", "status", "ready", "problems", problems);
    for (struct exchange *at = door->suspended_first, *next; at != NULL; at = next) {
        next = at->next;
        if (at->correlation != reply->correlation)
            continue;
        at->correlation = 0;
        answer_known(at);
        http_settle(at);
    }
}

static int ask(struct exchange *self, struct pen_error *err)
{
    struct http_health *health = &self->door->health;
    self->asks_health = true;
    if (health->asked != 0) { /* by somebody else, just now */
        self->correlation = health->asked;
        http_suspend(self, pen_clock_monotonic_ms() + HTTP_CORE_MS);
        return 0;
    }
    Pen__GetHealth *body = NULL;
    Pen__Input *input =
        pen_input_new(PEN__INPUT__WHAT_GET_HEALTH, &pen__get_health__descriptor, &body);
    self->call.services = &self->door->services;
    int rc = pen_call_post(&self->call, input, NULL, err);
    if (rc == 0)
        rc = http_go_on(self, err);
    if (rc == 0)
        health->asked = self->correlation;
    return rc;
}

void http_readyz(struct exchange *self, const struct pen_http_head *head)
{
    (void)head;
    struct pen_http *door = self->door;
    struct pen_error *err = &self->err;
    bool readable = pen_reader_begin(door->services.reader, err) == 0;
    pen_reader_end(door->services.reader);
    if (door->actor.stopping || !door->serving)
        exchange_answer_error(self, "ServiceUnavailableException", "Not ready yet.");
    else if (!readable)
        exchange_answer_error(self, "ServiceUnavailableException", "The store cannot be read.");
    else if (door->health.output != NULL &&
             pen_clock_monotonic_ms() < door->health.known_ms + HEALTH_FRESH_MS)
        answer_known(self);
    else if (ask(self, err) < 0)
        exchange_answer_failure(self, err);
}

void http_health_release(struct http_health *self)
{
    json_decref(self->output);
    pen_buf_release(&self->obstacle);
}
