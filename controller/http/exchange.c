/* Answers: bytes, status, headers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "common/log/log.h"
#include "controller/http/aws_json.h"
#include "controller/http/door.h"

void exchange_answer_output(struct exchange *self, const json_t *output)
{
    CHECK(!self->answered);
    struct pen_error err;
    if (pen_aws_json_output(output, &self->answer, &err) < 0) {
        exchange_answer_failure(self, &err);
        return;
    }
    self->status = MHD_HTTP_OK;
    self->answered = true;
}

void exchange_answer_error(struct exchange *self, const char *error_name, const char *message)
{
    CHECK(!self->answered);
    pen_buf_clear(&self->answer);
    pen_aws_json_error(error_name, message, &self->answer);
    (void)pen_str_copy(self->error_name, sizeof self->error_name, error_name);
    self->status = pen_aws_json_status(error_name);
    self->answered = true;
}

void exchange_answer_xml(struct exchange *self, bool rest, const char *message)
{
    CHECK(!self->answered);
    pen_buf_clear(&self->answer);
    pen_buf_puts(&self->answer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    pen_buf_printf(&self->answer,
                   rest
                       ? "<Error><Code>NotImplemented</Code><Message>%s</Message>"
                         "<RequestId>%s</RequestId></Error>\n"
                       : "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code>"
                         "<Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>\n",
                   message, self->request_id);
    self->status = rest ? MHD_HTTP_NOT_IMPLEMENTED : MHD_HTTP_BAD_REQUEST;
    self->xml = true;
    self->answered = true;
}

void exchange_answer_failure(struct exchange *self, const struct pen_error *err)
{
    const char *name = pen_aws_json_error_name(err);
    if (!pen_aws_json_is_internal(name)) {
        exchange_answer_error(self, name, err->message);
        return;
    }
    pen_log(PEN_LOG_ERROR, "request failed", "request=%s operation=%s code=%s error=%s",
            self->request_id, self->operation_name == NULL ? "-" : self->operation_name,
            pen_code_name(err->code), err->message);
    char message[160];
    (void)snprintf(message, sizeof message,
                   "The controller failed to answer; its log has the reason under request %s.",
                   self->request_id);
    exchange_answer_error(self, name, message);
}

static void put_headers(const struct exchange *self, struct MHD_Response *response)
{
    /* A header that cannot be added for lack of memory is left out; the answer is still true. */
    (void)MHD_add_response_header(response, "Content-Type",
                                  self->xml ? "application/xml" : PEN_AWS_JSON_TYPE);
    (void)MHD_add_response_header(response, "x-amzn-RequestId", self->request_id);
    (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    if (self->error_name[0] != '\0')
        (void)MHD_add_response_header(response, "x-amzn-ErrorType", self->error_name);
    if (self->status == 503)
        (void)MHD_add_response_header(response, "Retry-After", "1");
    if (self->allow != NULL)
        (void)MHD_add_response_header(response, "Allow", self->allow);
    if (self->close)
        (void)MHD_add_response_header(response, "Connection", "close");
}

enum MHD_Result exchange_send(struct exchange *self)
{
    size_t size = self->answer.size;
    char *bytes = pen_buf_take_text(&self->answer);
    if (bytes == NULL)
        return MHD_NO; /* no memory: the connection is cut */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(bytes);
        return MHD_NO;
    }
    put_headers(self, response);
    enum MHD_Result result = MHD_queue_response(self->connection, self->status, response);
    MHD_destroy_response(response);
    return result;
}

void exchange_destroy(struct exchange **self_p)
{
    struct exchange *self = *self_p;
    if (self == NULL)
        return;
    http_forget(self);
    if (self->of_hook)
        self->door->hook_bodies_size -= self->body.size;
    else
        self->door->bodies_size -= self->body.size;
    pen_call_release(&self->call);
    json_decref(self->input);
    pen_buf_release(&self->body);
    pen_buf_release(&self->answer);
    free(self->target);
    free(self);
    *self_p = NULL;
}
