#include "controller/services/call.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "common/wire/wire.h"

void pen_call_release(struct pen_call *call)
{
    json_decref(call->output);
    call->output = NULL;
    pen_message_destroy(&call->post);
    if (call->state != NULL && call->state_destroy != NULL)
        call->state_destroy(call->state);
    call->state = NULL;
}

int pen_call_post(struct pen_call *call, Pen__Input *input, pen_reply_handler *on_reply,
                  struct pen_error *err)
{
    CHECK(call->post == NULL);
    if (input == NULL || !pen_str_set(&input->principal, call->principal)) {
        pen_message_destroy(&input);
        return pen_fail(err, PEN_ENOMEM, "no memory for a request to the core");
    }
    call->post = input;
    call->on_reply = on_reply;
    return 0;
}

Pen__Input *pen_input_new(Pen__Input__WhatCase what, const ProtobufCMessageDescriptor *type,
                          void *ret_body)
{
    Pen__Input *input = malloc(sizeof *input);
    ProtobufCMessage *body = calloc(1, type->sizeof_message);
    if (input == NULL || body == NULL) {
        free(input);
        free(body);
        return NULL;
    }
    protobuf_c_message_init(type, body);
    pen__input__init(input);
    input->what_case = what;
    input->tick = (Pen__Tick *)body; /* any member of the oneof: they share their place */
    memcpy(ret_body, &body, sizeof body);
    return input;
}

int pen_reply_nothing(struct pen_call *call, const Pen__Reply *reply, struct pen_error *err)
{
    (void)call;
    (void)reply;
    (void)err;
    return 0;
}
