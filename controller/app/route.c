#include "controller/app/route.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/post/post.h"

enum { TO_DISPATCH = 1, TO_DATA = 2, TO_HTTP = 4, TO_SOURCES = 8, TO_RETENTION = 16 };

struct route {
    Pen__Effect__WhatCase what;
    unsigned threads; /* set of TO_... */
};

static const struct route routes_table[] = {
    {PEN__EFFECT__WHAT_REPLY, TO_HTTP},
    {PEN__EFFECT__WHAT_AGENT_SEND, TO_DISPATCH},
    {PEN__EFFECT__WHAT_KEY_ALLOW, TO_DISPATCH | TO_DATA},
    {PEN__EFFECT__WHAT_KEY_DENY, TO_DISPATCH | TO_DATA},
    {PEN__EFFECT__WHAT_ATTEMPT_OPEN, TO_DATA},
    {PEN__EFFECT__WHAT_ATTEMPT_CLOSE, TO_DATA},
    {PEN__EFFECT__WHAT_ARTIFACT_ACCEPTED, TO_DATA},
    {PEN__EFFECT__WHAT_SOURCE_RUN, TO_SOURCES},
    {PEN__EFFECT__WHAT_SOURCE_CANCEL, TO_SOURCES},
    {PEN__EFFECT__WHAT_SOURCE_WATCH, TO_SOURCES},
    {PEN__EFFECT__WHAT_SOURCE_UNWATCH, TO_SOURCES},
    {PEN__EFFECT__WHAT_REPOSITORY_MAKE, TO_SOURCES},
    {PEN__EFFECT__WHAT_REPOSITORY_DROP, TO_SOURCES},
    {PEN__EFFECT__WHAT_KEY_LOADED, TO_HTTP},
    {PEN__EFFECT__WHAT_CONNECTION_LOADED, TO_SOURCES},
    {PEN__EFFECT__WHAT_CONNECTION_DROPPED, TO_SOURCES},
    {PEN__EFFECT__WHAT_SOURCE_POKE, TO_SOURCES},
    {PEN__EFFECT__WHAT_ZONE_WANTED, TO_SOURCES},
    {PEN__EFFECT__WHAT_PULL_REQUEST_LOOK, TO_SOURCES},
    {PEN__EFFECT__WHAT_COLLECTION_RUN, TO_RETENTION},
    {PEN__EFFECT__WHAT_HISTORY_ANSWER, TO_RETENTION},
    {PEN__EFFECT__WHAT_MIRRORS_SWEEP, TO_SOURCES},
    {PEN__EFFECT__WHAT_MIRRORS_SWEPT, TO_RETENTION},
};

static void destroy_effect(void *body)
{
    Pen__Effect *effect = body;
    pen_message_destroy(&effect);
}

static int post_effect(struct pen_inbox *inbox, Pen__Effect **effect, struct pen_error *err)
{
    struct pen_post post = {.kind = PEN_POST_EFFECT, .body = *effect, .destroy = destroy_effect};
    int rc = pen_inbox_post_wait(inbox, &post, err);
    if (rc == 0)
        *effect = NULL;
    return rc;
}

static unsigned threads_of(const Pen__Effect *effect)
{
    for (size_t i = 0; i < sizeof routes_table / sizeof routes_table[0]; i++) {
        if (routes_table[i].what == effect->what_case)
            return routes_table[i].threads;
    }
    UNREACHABLE("an effect that no thread performs");
}

/* The last thread gets the effect itself, those before it a copy. */
static int route_one(const struct pen_routes *routes, Pen__Effect **effect, struct pen_error *err)
{
    struct pen_inbox *const inboxes[] = {routes->dispatch, routes->data, routes->http,
                                         routes->sources, routes->retention};
    unsigned left = threads_of(*effect);
    for (size_t i = 0; left != 0; i++) {
        unsigned bit = 1u << i;
        if ((left & bit) == 0)
            continue;
        left &= ~bit;
        if (left == 0)
            return post_effect(inboxes[i], effect, err);
        PEN_CLEANUP(pen_message_destroy) Pen__Effect *copy = NULL;
        int rc = pen_wire_copy(*effect, (ProtobufCMessage **)&copy, err);
        if (rc < 0 || (rc = post_effect(inboxes[i], &copy, err)) < 0)
            return rc;
    }
    return 0;
}

static bool is_release(const Pen__Effect *effect)
{
    return effect->what_case == PEN__EFFECT__WHAT_AGENT_SEND &&
           effect->agent_send->message->body_case == PEN__TO_AGENT__BODY_RELEASE;
}

/* Releases come last: an agent that tidies up keeps nobody waiting for a start. */
int pen_route_effects(const struct pen_routes *routes, struct pen_engine_out *out,
                      struct pen_error *err)
{
    for (int last = 0; last <= 1; last++)
        for (size_t i = 0; i < out->effects_count; i++) {
            if (out->effects[i] == NULL || is_release(out->effects[i]) != (last == 1))
                continue;
            int rc = route_one(routes, &out->effects[i], err);
            if (rc < 0)
                return rc;
        }
    out->effects_count = 0; /* all handed over */
    return 0;
}

int pen_route_committed(const struct pen_routes *routes, const struct pen_engine_out *out,
                        struct pen_error *err)
{
    if (out->facts_count == 0)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf ids = {0};
    const char *previous = "";
    for (size_t i = 0; i < out->facts_count; i++) {
        const char *id = out->facts[i]->execution_id;
        if (id == NULL || strcmp(id, previous) == 0)
            continue; /* facts of one step mostly name one execution */
        pen_buf_printf(&ids, "%s%s", ids.size > 0 ? "\n" : "", id);
        previous = id;
    }
    pen_buf_puts(&ids, "");
    char *text = ids.size > 0 ? pen_buf_take_text(&ids) : strdup("");
    if (text == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to announce a commit");
    struct pen_post post = {.kind = PEN_POST_COMMITTED,
                            .number = out->facts[out->facts_count - 1]->seq,
                            .body = text,
                            .destroy = free};
    int rc = pen_inbox_post_wait(routes->http, &post, err);
    if (rc < 0)
        free(text);
    return rc;
}

static int reply_copy(struct pen_inbox *http, Pen__Reply *reply, struct pen_error *err)
{
    Pen__Effect effect = PEN__EFFECT__INIT;
    effect.what_case = PEN__EFFECT__WHAT_REPLY;
    effect.reply = reply;
    PEN_CLEANUP(pen_message_destroy) Pen__Effect *copy = NULL;
    int rc = pen_wire_copy(&effect, (ProtobufCMessage **)&copy, err);
    return rc < 0 ? rc : post_effect(http, &copy, err);
}

int pen_route_reply(struct pen_inbox *http, Pen__Reply *reply, struct pen_error *err)
{
    int rc = reply_copy(http, reply, err);
    pen_message_destroy(&reply);
    return rc;
}

int pen_route_refusal(struct pen_inbox *http, uint64_t correlation, const char *error_name,
                      const char *message, struct pen_error *err)
{
    Pen__Reply reply = PEN__REPLY__INIT;
    reply.has_correlation = true;
    reply.correlation = correlation;
    PEN_CLEANUP(pen_free) char *error = strdup(error_name);
    PEN_CLEANUP(pen_free) char *sentence = strdup(message);
    if (error == NULL || sentence == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to refuse a request");
    reply.error = error;
    reply.message = sentence;
    return reply_copy(http, &reply, err);
}
