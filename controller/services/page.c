#include "controller/services/page.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/units.h"
#include "controller/services/output.h"

enum { MARK_SIZE = 12 }; /* a checksum, not a lock: what it guards can be read anyway */

static int mark(const struct pen_call *call, const char *filter, const char *place,
                uint8_t ret_mark[PEN_SHA256_SIZE], struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text, "%s\n%s\n%s", call->operation->name, filter, place);
    pen_hmac_sha256(call->services->page_key, sizeof call->services->page_key, text.data, text.size,
                    ret_mark);
    return pen_buf_ok(&text, err);
}

void pen_page_put(struct pen_call *call, const char *filter, const char *place)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
    PEN_CLEANUP(pen_buf_release) struct pen_buf token = {0};
    uint8_t own[PEN_SHA256_SIZE];
    if (mark(call, filter, place, own, NULL) < 0) {
        call->out_of_memory = true;
        return;
    }
    pen_buf_append(&plain, own, MARK_SIZE);
    pen_buf_puts(&plain, place);
    pen_base64url_encode(plain.data, plain.size, &token);
    if (pen_buf_ok(&plain, NULL) < 0 || pen_buf_ok(&token, NULL) < 0)
        call->out_of_memory = true;
    pen_put_string(call, pen_output(call), "nextToken", pen_buf_text(&token));
}

static int invalid(struct pen_error *err)
{
    return pen_fail_api(err, PEN_EINVAL, "InvalidNextTokenException",
                        "The next token is not one that this list has given.");
}

int pen_page_get(const struct pen_call *call, const char *filter, struct pen_buf *ret_place,
                 struct pen_error *err)
{
    const char *token = pen_in_string(call->input, "nextToken");
    if (token == NULL)
        return 0;
    PEN_CLEANUP(pen_buf_release) struct pen_buf plain = {0};
    int rc = pen_base64url_decode(token, &plain, err);
    if (rc == PEN_ENOMEM)
        return rc;
    if (rc < 0 || plain.size <= MARK_SIZE || plain.size > MARK_SIZE + PEN_PAGE_PLACE_MAX)
        return invalid(err);
    const char *place = (const char *)plain.data + MARK_SIZE;
    uint8_t own[PEN_SHA256_SIZE];
    if ((rc = mark(call, filter, place, own, err)) < 0)
        return rc;
    if (strlen(place) != plain.size - MARK_SIZE ||
        !pen_equal_constant_time(own, plain.data, MARK_SIZE))
        return invalid(err);
    pen_buf_puts(ret_place, place);
    return pen_buf_ok(ret_place, err);
}

int pen_page_get_number(const struct pen_call *call, const char *filter, uint64_t *ret_place,
                        struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf place = {0};
    int rc = pen_page_get(call, filter, &place, err);
    if (rc < 0)
        return rc;
    int64_t number = 0;
    if (place.size > 0 && pen_integer_parse(pen_buf_text(&place), 1, INT64_MAX, &number, NULL) < 0)
        return invalid(err);
    *ret_place = (uint64_t)number;
    return 0;
}

size_t pen_page_size(const struct pen_call *call, size_t limit)
{
    int64_t wanted = pen_in_integer(call->input, "maxResults", (int64_t)limit);
    return wanted < 1 || wanted > (int64_t)limit ? limit : (size_t)wanted;
}
