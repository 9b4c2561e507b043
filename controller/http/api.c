/* POST /: who asks, for what, with what; then the handler. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/clock.h"
#include "common/wire/wire.h"
#include "controller/auth/authorize.h"
#include "controller/http/aws_json.h"
#include "controller/http/door.h"
#include "controller/post/post.h"

static int unknown_operation(struct pen_error *err, const char *target)
{
    return pen_fail_api(err, PEN_EUNSUPPORTED, "UnknownOperationException",
                        "'%.200s' is no operation of this service.", target);
}

/* The one place where a principal comes from. A target of no service is told only to those who
 * have at least tried to sign. */
static int authenticate(struct exchange *self, const struct pen_http_head *head, const char *target,
                        const struct pen_service **ret_service, struct pen_error *err)
{
    const struct pen_service *service = pen_service_find(target, strcspn(target, "."));
    if (service == NULL && pen_http_head_get(head, "authorization") != NULL)
        return unknown_operation(err, target);
    const struct pen_sigv4_request request = {
        .method = self->method,
        .target = self->target,
        .headers = head->headers,
        .headers_count = head->headers_count,
        .body = self->body.data,
        .body_size = self->body.size,
        .service = service == NULL ? "" : service->catalog->service,
        .region = self->door->region,
        .now_ms = pen_clock_wall_ms(),
    };
    int rc = pen_sigv4_verify(self->door->keys, &request, &self->principal, err);
    if (rc == 0)
        *ret_service = service;
    return rc;
}

static int find_operation(struct exchange *self, const struct pen_service *service,
                          const char *target, struct pen_error *err)
{
    const char *name = target + strlen(service->catalog->target_prefix);
    name += *name == '.';
    self->call.operation = pen_operation_find(service, name);
    if (self->call.operation == NULL && pen_api_operation_find(service->catalog, name) != NULL)
        return pen_fail_api(err, PEN_EUNSUPPORTED, "UnknownOperationException",
                            "%s is not available in this version of Penstock.", name);
    if (self->call.operation == NULL)
        return unknown_operation(err, target);
    self->operation_name = self->call.operation->name;
    return pen_authorize(&self->principal, self->door->account, self->call.operation->permission,
                         err);
}

static int parse_input(struct exchange *self, const struct pen_service *service,
                       struct pen_error *err)
{
    const char *bytes = self->body.size == 0 ? "{}" : (const char *)self->body.data;
    size_t size = self->body.size == 0 ? strlen(bytes) : self->body.size;
    int rc = pen_json_parse(bytes, size, PEN_LIMIT_HTTP_BODY_BYTES, &self->input, err);
    if (rc == PEN_EINVAL || rc == PEN_ELIMIT) {
        if (err->api_name == NULL)
            err->api_name = "SerializationException";
        return rc;
    }
    if (rc == 0 && !json_is_object(self->input))
        return pen_fail_api(err, PEN_EINVAL, "SerializationException",
                            "The body of a request is a JSON object.");
    if (rc < 0)
        return rc;
    return pen_api_validate(pen_api_operation_find(service->catalog, self->call.operation->name),
                            self->input, err);
}

static void destroy_input(void *body)
{
    Pen__Input *input = body;
    pen_message_destroy(&input);
}

/* Post to the core and wait for its Reply. */
static int post(struct exchange *self, struct pen_error *err)
{
    struct pen_http *door = self->door;
    Pen__Input *input = self->call.post;
    self->correlation = ++door->last_correlation;
    input->has_correlation = true;
    input->correlation = self->correlation;
    const struct pen_post post = {
        .kind = PEN_POST_INPUT, .number = PEN_THREAD_HTTP, .body = input, .destroy = destroy_input};
    int rc = pen_inbox_post(door->actor.core, &post, err);
    if (rc == PEN_ELIMIT)
        return pen_fail_api(err, rc, "ThrottlingException",
                            "Rate exceeded: the controller has more requests than it can take. "
                            "Nothing was done; try again.");
    if (rc < 0)
        return rc;
    self->call.post = NULL;
    http_suspend(self, pen_clock_monotonic_ms() + HTTP_CORE_MS);
    return 0;
}

int http_go_on(struct exchange *self, struct pen_error *err)
{
    if (self->call.out_of_memory)
        return pen_fail(err, PEN_ENOMEM, "no memory for an answer");
    if (self->call.post != NULL)
        return post(self, err);
    if (self->call.wait.wanted) {
        int64_t deadline_ms =
            self->suspended ? self->deadline_ms : pen_clock_monotonic_ms() + self->call.wait_ms;
        http_suspend(self, deadline_ms);
        return 0;
    }
    exchange_answer_output(self, self->call.output);
    return 0;
}

/* All reads of a handler see one state of the store. */
static int handle(struct exchange *self, struct pen_error *err)
{
    struct pen_reader *reader = self->door->services.reader;
    self->call.now_ms = pen_clock_wall_ms();
    self->call.wait = (struct pen_call_wait){.wanted = false};
    int rc = pen_reader_begin(reader, err);
    if (rc == 0)
        rc = self->call.operation->handle(&self->call, err);
    pen_reader_end(reader);
    return rc < 0 ? rc : http_go_on(self, err);
}

static void fail(struct exchange *self, const struct pen_error *err)
{
    self->correlation = 0;
    exchange_answer_failure(self, err);
}

void http_api(struct exchange *self, const struct pen_http_head *head)
{
    struct pen_error *err = &self->err;
    const struct pen_service *service = NULL;
    const char *target = pen_http_head_get(head, "x-amz-target");
    if (target == NULL)
        target = "";
    int rc = authenticate(self, head, target, &service, err);
    if (rc == 0)
        rc = find_operation(self, service, target, err);
    if (rc == 0)
        rc = parse_input(self, service, err);
    if (rc == 0) {
        self->call.services = &self->door->services;
        self->call.principal = self->principal.arn;
        const char *host = pen_http_head_get(head, "host");
        (void)pen_str_copy(self->call.host, sizeof self->call.host, host == NULL ? "" : host);
        self->call.input = self->input;
        rc = handle(self, err);
    }
    if (rc < 0)
        fail(self, err);
}

void http_api_again(struct exchange *self, bool waited_out)
{
    self->call.waited_out = waited_out;
    pen_call_release(&self->call);
    if (handle(self, &self->err) < 0)
        fail(self, &self->err);
}

static int take_reply(struct exchange *self, const Pen__Reply *reply, struct pen_error *err)
{
    struct pen_reader *reader = self->door->services.reader;
    int rc = pen_reader_begin(reader, err);
    if (rc == 0)
        rc = self->call.on_reply(&self->call, reply, err);
    pen_reader_end(reader);
    return rc < 0 ? rc : http_go_on(self, err);
}

void http_api_reply(struct exchange *self, const Pen__Reply *reply)
{
    self->correlation = 0;
    if (reply->error != NULL && !self->call.takes_refusal) {
        exchange_answer_error(self, reply->error, reply->message == NULL ? "" : reply->message);
        return;
    }
    if (take_reply(self, reply, &self->err) < 0)
        fail(self, &self->err);
}
